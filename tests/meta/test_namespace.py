"""The names that `hawkapi_sqlalchemy` offers, and what importing them loads."""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

import hawkapi_sqlalchemy

PACKAGES = Path(__file__).parents[2] / "packages"
ROOT = PACKAGES / "meta/src/hawkapi_sqlalchemy/__init__.py"
PORTIONS = ("alembic", "core", "mixins", "pytest")

# What a portion offers beside the names of the root: errors to catch, a type
# that migrations import, a lock, assertions of tests. The core's are its own tests' business.
ONLY_IN_PORTION = {
    "alembic": {
        "AsyncMigrations",
        "DatabaseEnded",
        "DatabaseStarted",
        "DatabaseState",
        "DatabaseUnreachableError",
        "DatabasesFailedError",
        "DriverNotInstalledError",
        "ForeignKeyViolationError",
        "MigrationError",
        "MigrationLockLostError",
        "MigrationLockTimeoutError",
        "MigrationResult",
        "Migrations",
        "MigrationsPlanned",
        "Revision",
        "RevisionApplied",
        "SchemaCheck",
        "SchemaDifferenceError",
        "SeveralHeadsError",
        "SqlScript",
        "TableLockedError",
        "UnknownDatabaseRevisionError",
        "UnknownRevisionError",
        "alembic_lock",
    },
    "mixins": {"UTCDateTime"},
    "pytest": {
        "CapturedCallback",
        "QueryRecorder",
        "RecordedQuery",
        "SourceLine",
        "capture_on_commit",
    },
}


def names_for_type_checkers() -> Mapping[str, str]:
    """The imports under `if TYPE_CHECKING:`, as name to portion."""
    tree = ast.parse(ROOT.read_text())
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    names: dict[str, str] = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            assert alias.asname == alias.name, "only `X as X` is a re-export"
            names[alias.name] = (node.module or "").removeprefix("hawkapi_sqlalchemy.")
    return names


def run(code: str) -> str:
    """Run code in a fresh interpreter and answer what it printed."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_the_list_the_type_checkers_and_the_loader_know_the_same_names():
    assert names_for_type_checkers() == hawkapi_sqlalchemy._PORTIONS
    assert list(names_for_type_checkers()) != []
    assert sorted(hawkapi_sqlalchemy._PORTIONS) == hawkapi_sqlalchemy.__all__


@pytest.mark.parametrize("name", hawkapi_sqlalchemy.__all__)
def test_a_name_is_the_object_of_its_portion(name):
    portion = importlib.import_module(f"hawkapi_sqlalchemy.{names_for_type_checkers()[name]}")
    assert name in portion.__all__
    assert getattr(hawkapi_sqlalchemy, name) is getattr(portion, name)


@pytest.mark.parametrize("portion", sorted(ONLY_IN_PORTION))
def test_the_root_offers_every_name_of_a_portion_but_the_special_ones(portion):
    offered = {name for name, of in names_for_type_checkers().items() if of == portion}
    listed = set(importlib.import_module(f"hawkapi_sqlalchemy.{portion}").__all__)
    assert listed == offered | ONLY_IN_PORTION[portion]


@pytest.mark.parametrize("portion", PORTIONS)
def test_everything_that_a_portion_lists_is_there(portion):
    module = importlib.import_module(f"hawkapi_sqlalchemy.{portion}")
    assert module.__all__ == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


def test_importing_the_root_loads_nothing_but_the_standard_library():
    loaded = run("import hawkapi_sqlalchemy, sys; print(*{n.split('.')[0] for n in sys.modules})")
    assert not {"sqlalchemy", "hawkapi", "alembic", "pytest"} & set(loaded.split())


def test_a_name_loads_its_portion_alone():
    loaded = run(
        "import sys; from hawkapi_sqlalchemy import Base;"
        "print(*(n for n in sys.modules if n.count('.') == 1 and n.startswith('hawkapi_sql')))"
    )
    assert loaded.split() == ["hawkapi_sqlalchemy.mixins"]


def test_a_star_import_gives_every_name():
    count = run("n = {}; exec('from hawkapi_sqlalchemy import *', n); print(len(n) - 1)")
    assert int(count) == len(hawkapi_sqlalchemy.__all__)


def test_dir_lists_the_names_before_they_are_loaded():
    listed = run("import hawkapi_sqlalchemy; print(*dir(hawkapi_sqlalchemy))").split()
    assert set(hawkapi_sqlalchemy.__all__) <= set(listed)
    assert "__version__" in listed


@pytest.mark.parametrize("module", ["hawkapi_sqlalchemy", "hawkapi_sqlalchemy.pytest"])
def test_an_unknown_name_is_an_attribute_error_that_names_it(module):
    with pytest.raises(AttributeError, match=f"module '{module}' has no attribute 'Bass'"):
        _ = importlib.import_module(module).Bass
    with pytest.raises(ImportError, match="Bass"):
        exec(f"from {module} import Bass")


@pytest.mark.parametrize("package", ["meta", *PORTIONS])
def test_every_distribution_has_the_version_of_the_root(package):
    project = tomllib.loads((PACKAGES / package / "pyproject.toml").read_text())["project"]
    assert project["version"] == hawkapi_sqlalchemy.__version__
