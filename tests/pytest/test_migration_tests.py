"""The tests that are collected for a user's migrations, on every database."""

import importlib
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, make_url

from hawkapi_sqlalchemy.pytest.migration_tests import add_migration_tests, add_options
from revisions import REVISION

# pytest's tester forgets what is first imported in a run, and SQLAlchemy does not bear to be
# imported twice.
for name in (
    "aiomysql",
    "aiosqlite",
    "asyncpg",
    "sqlalchemy.dialects.mysql.aiomysql",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "hawkapi_sqlalchemy.alembic.program",
    "hawkapi_sqlalchemy.pytest.migration_tests.items",
):
    importlib.import_module(name)

ALL = [
    "one_head",
    "up_down_and_up_again",
    "models_match_the_schema",
    "downgrade_leaves_no_trace",
    "each_step_leaves_no_trace",
]
MODELS = """
from sqlalchemy import MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


class Pet(Base):
    __tablename__ = "pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(50))
"""
ENV = """
from hawkapi_sqlalchemy.alembic import run_migrations
from models import Base

run_migrations(Base.metadata, "sqlite+aiosqlite:///app.db")
"""
PYPROJECT = """
[tool.alembic]
script_location = "%(here)s/migrations"
prepend_sys_path = ["%(here)s"]
"""
INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""
# For runs in processes of their own, which get no object of a test's.
WIRING = """
from hawkapi_sqlalchemy.pytest.migration_tests import add_migration_tests, add_options

def pytest_addoption(parser):
    add_options(parser)

def pytest_configure(config):
    add_migration_tests(config)
"""
PETS = 'op.create_table("pets", sa.Column("id", sa.Integer, primary_key=True))'
NAME = 'op.add_column("pets", sa.Column("name", sa.String(50)))'
NO_NAME = """
with op.batch_alter_table("pets") as pets:
    pets.drop_column("name")
"""

type Database = Callable[[], AbstractContextManager[str]]


class Wiring:
    """A plugin as a distribution has one."""

    def __init__(self, database: Database | None) -> None:
        self.database = database

    def pytest_addoption(self, parser: pytest.Parser) -> None:
        add_options(parser)

    def pytest_configure(self, config: pytest.Config) -> None:
        add_migration_tests(config, database=self.database)


class Project:
    """A user's project with migrations."""

    def __init__(self, pytester: pytest.Pytester, database: Database | None) -> None:
        self.pytester = pytester
        self.database = database
        self.write("models.py", MODELS)
        self.write("migrations/env.py", ENV)
        self.write("pyproject.toml", PYPROJECT)
        self.write("pytest.ini", INI)
        (pytester.path / "migrations/versions").mkdir()

    def write(self, name: str, text: str) -> None:
        path = self.pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def add(
        self,
        revision: str,
        upgrade: str,
        downgrade: str = "pass",
        *,
        after: str | tuple[str, ...] | None = None,
    ) -> None:
        text = ('"""{message}"""' + REVISION).format(
            message=f"make {revision}",
            revision=revision,
            down=after,
            upgrade=textwrap.indent(upgrade, "    "),
            downgrade=textwrap.indent(downgrade, "    "),
        )
        self.write(f"migrations/versions/{revision}.py", text)

    def run(self, *words: str, asked: bool = True) -> pytest.RunResult:
        option = ["--hawkapi-migration-tests"] if asked else []
        return self.pytester.runpytest_inprocess(
            "-p",
            "no:hawkapi_sqlalchemy",
            "-p",
            "no:pytest_alembic",
            *option,
            *words,
            plugins=[Wiring(self.database)],
        )

    def run_elsewhere(self, *words: str) -> pytest.RunResult:
        """Run pytest in a process of its own, which a module in the folder wires."""
        self.write("wiring.py", WIRING)
        return self.pytester.runpytest_subprocess(
            "-p", "no:hawkapi_sqlalchemy", "-p", "no:pytest_alembic", "-p", "wiring", *words
        )


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Database:
    """Provide databases of the dialect."""
    server = None if dialect == "sqlite" else request.getfixturevalue("database_server")
    made: list[str] = []

    @contextmanager
    def fresh() -> Iterator[str]:
        if server is None:
            made.append("")
            yield f"sqlite+aiosqlite:///{tmp_path / f'fresh-{len(made)}.db'}"
            return
        name = server.create_database()
        try:
            # MariaDB lets nobody else make a trigger while it keeps a binary log.
            url = make_url(server.url(name)).set(username=server.admin)
            yield url.render_as_string(hide_password=False)
        finally:
            server.drop_database(name)

    return fresh


@pytest.fixture
def project(pytester: pytest.Pytester, fresh_database: Database) -> Project:
    """A good project of two revisions, tested on each database in turn."""
    return good(Project(pytester, fresh_database))


@pytest.fixture
def local(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A good project, tested where nobody provides databases."""
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    return good(Project(pytester, None))


def good(project: Project) -> Project:
    project.add("first", PETS, 'op.drop_table("pets")')
    project.add("second", NAME, NO_NAME, after="first")
    return project


def outcomes(result: pytest.RunResult) -> dict[str, str]:
    """Answer what `-rA` says of each test."""
    found: dict[str, str] = {}
    for line in result.outlines:
        word, _, rest = line.partition(" hawkapi-migrations::")
        if word in {"PASSED", "FAILED", "ERROR"}:
            found[rest.split(" - ")[0]] = word
    return found


def failed(result: pytest.RunResult) -> set[str]:
    found = outcomes(result)
    assert found, result.outlines
    return {name for name, word in found.items() if word != "PASSED"}


def test_a_good_project_passes(project: Project):
    result = project.run("-rA")
    result.assert_outcomes(passed=5)
    assert set(outcomes(result)) == set(ALL)


def test_without_a_database_of_its_own_it_is_tested_on_sqlite(local: Project):
    local.run().assert_outcomes(passed=5)
    assert not (local.pytester.path / "app.db").exists()


def test_a_history_with_branches_that_are_joined_passes(project: Project):
    project.add("left", 'op.create_table("a", sa.Column("id", sa.Integer))', 'op.drop_table("a")')
    project.add("right", 'op.create_table("b", sa.Column("id", sa.Integer))', 'op.drop_table("b")')
    project.add("joined", "pass", after=("left", "right", "second"))
    assert failed(project.run("-rA")) == {"models_match_the_schema"}


def test_two_heads_are_named_and_do_not_hold_the_other_tests_up(local: Project):
    local.add("third", "pass", after="first")
    result = local.run("-rA")
    assert failed(result) == {"one_head"}
    result.stdout.fnmatch_lines(
        [
            "there are 2 heads:",
            "  second (make second; migrations/versions/second.py)",
            "  third (make third; migrations/versions/third.py)",
            "join them: `hawkapi-migrate merge`*",
        ],
        consecutive=False,
    )


def test_a_project_without_a_revision_has_no_head(local: Project):
    for each in ("first", "second"):
        (local.pytester.path / f"migrations/versions/{each}.py").unlink()
    result = local.run("-k", "one_head")
    result.stdout.fnmatch_lines(["there is no revision"])


def test_a_table_that_a_downgrade_leaves_is_named_with_its_revision(project: Project):
    project.add("first", PETS)
    result = project.run("-rA")
    assert failed(result) == {
        "up_down_and_up_again",
        "downgrade_leaves_no_trace",
        "each_step_leaves_no_trace",
    }
    result.stdout.fnmatch_lines(
        [
            "revision first (make first; migrations/versions/first.py): its upgrade failed: *",
            "after the downgrade to base",
            "  table pets is left",
            "a downgrade does not undo its upgrade",
            "  after the downgrade of revision first (make first; migrations/versions/first.py)",
            "    table pets is left",
        ]
    )
    # What belongs to the table is not listed beside it.
    result.stdout.no_fnmatch_line("*pets.id*")
    result.stdout.no_fnmatch_line("*sequence*")


def test_an_index_that_a_single_downgrade_leaves_is_found_though_the_last_one_drops_its_table(
    project: Project,
):
    project.add("third", 'op.create_index("ix_name", "pets", ["name"])', after="second")
    project.add("second", NAME, after="first")
    result = project.run("-rA")
    assert failed(result) == {"models_match_the_schema", "each_step_leaves_no_trace"}
    result.stdout.fnmatch_lines(
        [
            "  after the downgrade of revision third (make third; migrations/versions/third.py)",
            "    index ix_name of pets is left",
            "  after the downgrade of revision second (make second; migrations/versions/second.py)",
            "    column pets.name is left",
            "let its downgrade() undo all that its upgrade() does",
        ]
    )
    # Under CI pytest repeats the whole message in its summary.
    shown, *_ = result.stdout.str().partition("short test summary info")
    assert shown.count("ix_name of pets is left") == 1


def test_what_a_downgrade_takes_too_much_of_or_changes_is_named(project: Project):
    project.add(
        "third",
        'op.add_column("pets", sa.Column("age", sa.Integer))',
        """
with op.batch_alter_table("pets") as pets:
    pets.drop_column("age")
    pets.alter_column("name", type_=sa.String(20), existing_type=sa.String(50))
""",
        after="second",
    )
    project.add("fourth", 'op.create_table("toys", sa.Column("id", sa.Integer))', after="third")
    project.add("fifth", "pass", 'op.drop_table("toys")', after="fourth")
    result = project.run("-k", "each_step")
    result.stdout.fnmatch_lines(
        [
            "  after the downgrade of revision fifth *",
            "    table toys is missing",
            "  after the downgrade of revision third *",
            "    column pets.name is VARCHAR(20)*, and was VARCHAR(50)*",
        ]
    )


@pytest.mark.dialects("postgresql")
def test_an_enum_type_that_a_downgrade_leaves_is_named(project: Project):
    project.add(
        "third",
        'op.create_table("moods", sa.Column("mood", sa.Enum("sad", "ok", name="mood")))',
        'op.drop_table("moods")',
        after="second",
    )
    result = project.run("-rA")
    assert failed(result) == {
        "models_match_the_schema",
        "downgrade_leaves_no_trace",
        "each_step_leaves_no_trace",
    }
    result.stdout.fnmatch_lines(
        [
            "  enum type mood is left",
            "  after the downgrade of revision third (make third; migrations/versions/third.py)",
            "    enum type mood is left",
        ]
    )


LEFT = {
    "sqlite": {
        "view names": "CREATE VIEW names AS SELECT name FROM pets",
        "trigger quiet of pets": ("CREATE TRIGGER quiet AFTER INSERT ON pets BEGIN SELECT 1; END"),
        "index ix_lower of pets": "CREATE INDEX ix_lower ON pets (lower(name))",
    },
    "postgresql": {
        "view names": "CREATE VIEW names AS SELECT name FROM pets",
        "materialized view kept": "CREATE MATERIALIZED VIEW kept AS SELECT name FROM pets",
        "index ix_lower of pets": "CREATE INDEX ix_lower ON pets (lower(name))",
        "function one()": "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "trigger quiet of pets": (
            "CREATE TRIGGER quiet BEFORE UPDATE ON pets FOR EACH ROW "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        ),
        "sequence numbers": "CREATE SEQUENCE numbers",
        "schema archive": "CREATE SCHEMA archive",
        "domain email": "CREATE DOMAIN email AS text",
        "table archive.old": "CREATE TABLE archive.old (id int)",
        "check constraint named of pets": (
            "ALTER TABLE pets ADD CONSTRAINT named CHECK (name <> '')"
        ),
        "unique constraint once of pets": "ALTER TABLE pets ADD CONSTRAINT once UNIQUE (name)",
        "foreign key same of pets": (
            "ALTER TABLE pets ADD CONSTRAINT same FOREIGN KEY (id) REFERENCES pets (id)"
        ),
    },
    "mariadb": {
        "view names": "CREATE VIEW names AS SELECT name FROM pets",
        "trigger quiet of pets": (
            "CREATE TRIGGER quiet BEFORE INSERT ON pets FOR EACH ROW SET @a = 1"
        ),
        "procedure nothing": "CREATE PROCEDURE nothing() SELECT 1",
        "sequence numbers": "CREATE SEQUENCE numbers",
        "index once of pets": "CREATE UNIQUE INDEX once ON pets (name)",
        "foreign key same of pets": (
            "ALTER TABLE pets ADD CONSTRAINT same FOREIGN KEY (id) REFERENCES pets (id)"
        ),
        "check constraint named of pets": (
            "ALTER TABLE pets ADD CONSTRAINT named CHECK (name <> '')"
        ),
    },
}


def test_other_things_than_tables_that_are_left_are_named_too(project: Project, dialect: str):
    statements = LEFT[dialect].values()
    project.add("third", "\n".join(f"op.execute({each!r})" for each in statements), after="second")
    result = project.run("-k", "each_step")
    lines = {line.strip() for line in result.outlines}
    assert {f"{each} is left" for each in LEFT[dialect]} <= lines, result.outlines


def test_the_name_that_env_py_gives_to_the_version_table_is_no_trace(project: Project):
    project.write(
        "migrations/env.py",
        ENV.replace(
            '"sqlite+aiosqlite:///app.db"',
            '"sqlite+aiosqlite:///app.db", configure_kwargs={"version_table": "steps"}',
        ),
    )
    assert failed(project.run("-rA")) == set()


def test_what_a_migration_does_to_the_version_table_is_no_trace_either(project: Project):
    project.add(
        "third",
        'op.add_column("alembic_version", sa.Column("note", sa.String(50)))',
        after="second",
    )
    result = project.run("-k", "trace")
    result.assert_outcomes(passed=2, deselected=3)


def test_how_the_models_differ_is_said(project: Project):
    project.add("third", 'op.create_table("toys", sa.Column("id", sa.Integer))', after="second")
    project.add("second", "pass", after="first")
    result = project.run("-rA")
    result.stdout.fnmatch_lines(
        [
            "the migrated schema differs from the models; to match them it would have to",
            "  remove table toys",
            "  add column pets.name",
            "write the missing migration (`hawkapi-migrate revision -m ...`), or correct *",
        ]
    )


def test_an_env_py_without_models_is_told_as_such(local: Project):
    local.write("migrations/env.py", ENV.replace("Base.metadata", "None"))
    result = local.run("-rA")
    assert failed(result) == {"models_match_the_schema"}
    result.stdout.fnmatch_lines(["the schema cannot be compared with the models: *MetaData*"])


def test_an_exception_of_a_migration_is_shown_where_it_was_raised(project: Project):
    project.add("second", "names = {}\nnames['Rex']", after="first")
    result = project.run("-k", "each_step")
    result.stdout.fnmatch_lines(
        [
            "revision second (make second; *second.py): its upgrade failed: KeyError: 'Rex'",
            "*raised in the project's files*",
            "migrations/versions/second.py:*: in upgrade",
            "    names['Rex']",
            "E   KeyError: 'Rex'",
            "FAILED *each_step_leaves_no_trace - CommandFailed: *",
        ]
    )
    paths = [line.split(":")[0] for line in result.outlines if ": in " in line]
    assert paths == ["migrations/env.py", "migrations/versions/second.py"]


def test_what_an_exception_of_a_migration_was_raised_for_is_shown_before_it(local: Project):
    local.add(
        "second",
        "try:\n    op.execute('DROP TABLE nowhere')\n"
        "except Exception as error:\n    raise LookupError('no such table') from error",
        after="first",
    )
    result = local.run("-k", "each_step")
    result.stdout.fnmatch_lines(
        [
            "    op.execute('DROP TABLE nowhere')",
            "E   sqlalchemy.exc.OperationalError: *",
            "and then",
            "    raise LookupError('no such table') from error",
            "E   LookupError: no such table",
        ]
    )
    result.stdout.no_fnmatch_line("*hidden*")


def test_a_statement_that_a_server_refuses_is_shown_where_it_stands(project: Project):
    project.add("second", NAME, 'op.execute("DROP TABLE nowhere")', after="first")
    result = project.run("-rA")
    assert failed(result) == set(ALL) - {"one_head", "models_match_the_schema"}
    result.stdout.fnmatch_lines(
        [
            "revision second (make second; migrations/versions/second.py): its downgrade failed: *",
            "migrations/versions/second.py:*: in downgrade",
            '    op.execute("DROP TABLE nowhere")',
            "E   *[[]SQL: DROP TABLE nowhere[]]",
        ]
    )
    result.stdout.no_fnmatch_line("*site-packages*")


def test_an_exception_of_the_models_is_shown_too(local: Project):
    local.write("models.py", "raise LookupError('no models today')")
    result = local.run("-k", "each_step")
    result.stdout.fnmatch_lines(
        ["env.py failed: LookupError: no models today", "models.py:1: in <module>"]
    )


def test_a_downgrade_that_fails_for_what_another_has_left_is_told_after_it(local: Project):
    local.add("third", "pass", NO_NAME, after="second")
    result = local.run("-k", "each_step")
    result.stdout.fnmatch_lines(
        [
            "  after the downgrade of revision third *",
            "    column pets.name is missing",
            "  then revision second *: its downgrade failed: *",
        ]
    )


def test_an_env_py_of_another_kind_is_refused_before_it_touches_its_database(local: Project):
    path = local.pytester.path / "precious.db"
    local.write(
        "migrations/env.py",
        f"""
from alembic import context
from sqlalchemy import NullPool, create_engine

with create_engine("sqlite:///{path}", poolclass=NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
""",
    )
    result = local.run("-rA")
    assert failed(result) == set(ALL) - {"one_head"}
    result.stdout.fnmatch_lines(["*env.py did not call run_migrations*"])
    engine = create_engine(f"sqlite:///{path}")
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_a_database_that_is_not_empty_is_refused(local: Project):
    path = local.pytester.path / "precious.db"

    @contextmanager
    def the_same() -> Iterator[str]:
        yield f"sqlite:///{path}"

    local.database = the_same
    local.run("-k", "models_match").assert_outcomes(passed=1, deselected=4)
    result = local.run("-rA")
    assert failed(result) == set(ALL) - {"one_head"}
    result.stdout.fnmatch_lines(["the database for the test is not empty: it is at second"])


def test_a_run_that_does_not_ask_for_them_has_none_and_imports_nothing(local: Project):
    local.write(
        "test_imports.py",
        "import sys\n\ndef test_imports():\n"
        "    assert not {'alembic', 'sqlalchemy', 'hawkapi_sqlalchemy.alembic'} & set(sys.modules)",
    )
    local.run_elsewhere("-p", "no:hypothesispytest").assert_outcomes(passed=1)


TWO_FOLDERS = "testpaths = one two\nhawkapi_migration_tests = true\n"


def with_two_folders(project: Project) -> Project:
    project.write("pytest.ini", INI + TWO_FOLDERS)
    project.write("one/test_one.py", "def test_one(): pass")
    project.write("two/test_two.py", "def test_two(): pass")
    return project


def test_with_several_test_paths_they_are_collected_once(local: Project):
    with_two_folders(local).run("--collect-only", "-q", asked=False).stdout.fnmatch_lines(
        [
            "one/test_one.py::test_one",
            "two/test_two.py::test_two",
            *(f"hawkapi-migrations::{each}" for each in ALL),
            "7 tests collected*",
        ],
        consecutive=False,
    )


def test_the_configuration_file_adds_them_to_runs_of_folders_and_not_of_single_tests(
    local: Project,
):
    with_two_folders(local)
    local.run("one", asked=False).assert_outcomes(passed=6)
    local.run("one/test_one.py", asked=False).assert_outcomes(passed=1)
    local.run("one/test_one.py::test_one", asked=False).assert_outcomes(passed=1)
    local.run("one/test_one.py", asked=True).assert_outcomes(passed=6)


def test_a_node_id_chooses_one_of_them_and_needs_no_option(local: Project):
    with_two_folders(local)
    run = ("-rA", "hawkapi-migrations::one_head", "two/test_two.py")
    result = local.run(*run, asked=False)
    result.assert_outcomes(passed=2)
    assert list(outcomes(result)) == ["one_head"]
    local.run("hawkapi-migrations", asked=False).assert_outcomes(passed=5)


def test_a_node_id_of_none_of_them_is_refused_with_those_there_are(local: Project):
    result = local.run("hawkapi-migrations::two_heads")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *no migration test two_heads; there are one_head, *"])


def test_they_are_chosen_by_name_and_mark_and_deselected(local: Project):
    with_two_folders(local)
    local.run("-k", "trace or test_one").assert_outcomes(passed=3, deselected=4)
    local.run("--strict-markers", "-m", "hawkapi_migrations").assert_outcomes(
        passed=5, deselected=2
    )
    local.run("--deselect", "hawkapi-migrations::one_head").assert_outcomes(passed=6, deselected=1)


def test_those_that_failed_last_are_run_again(local: Project):
    local.add("third", "pass", after="first")
    with_two_folders(local).run().assert_outcomes(passed=6, failed=1)
    result = local.run("--last-failed", "-rA")
    assert outcomes(result) == {"one_head": "FAILED"}


def test_each_says_what_it_is_about(local: Project):
    about = "The revisions end in one that is the newest"
    listed = local.run("--collect-only", "-v")
    listed.stdout.fnmatch_lines(["*<MigrationTest one_head>", f"*{about}."])
    result = local.run("-v")
    result.stdout.fnmatch_lines([f"hawkapi-migrations::one_head PASSED ({about})*"])


def test_workers_share_them_out(local: Project):
    local.add("third", "pass", after="first")
    result = local.run_elsewhere("--hawkapi-migration-tests", "-n", "2", "-rA")
    assert outcomes(result) == dict.fromkeys(ALL, "PASSED") | {"one_head": "FAILED"}
    result.stdout.fnmatch_lines(["there are 2 heads:"])
    result.stdout.fnmatch_lines(["FAILED *one_head - MigrationTestFailed: there are 2 heads:"])


def test_workers_find_the_one_that_a_node_id_chooses(local: Project):
    result = local.run_elsewhere("hawkapi-migrations::one_head", "-n", "2", "-rA")
    assert outcomes(result) == {"one_head": "PASSED"}


def test_a_report_for_machines_names_them(local: Project):
    local.add("third", "pass", after="first")
    local.run("--junitxml=report.xml")
    cases = ET.parse(local.pytester.path / "report.xml").getroot().findall(".//testcase")
    assert [(each.get("classname"), each.get("name")) for each in cases] == [
        ("hawkapi-migrations", each) for each in ALL
    ]
    assert [each.find("failure") is not None for each in cases] == [True, *[False] * 4]


def test_a_project_elsewhere_is_named_by_option_or_in_the_configuration_file(local: Project):
    (local.pytester.path / "shop").mkdir()
    for each in ("models.py", "migrations", "pyproject.toml"):
        (local.pytester.path / each).rename(local.pytester.path / "shop" / each)
    for place in ("shop", "shop/pyproject.toml"):
        local.run("--hawkapi-migrations", place).assert_outcomes(passed=5)
    local.write("pytest.ini", f"{INI}hawkapi_migrations = shop\n")
    local.run().assert_outcomes(passed=5)


ALEMBIC_INI = """
[alembic]
script_location = migrations
prepend_sys_path = .
path_separator = os
"""


def test_an_alembic_ini_goes_before_a_pyproject_toml(local: Project):
    local.write("pyproject.toml", "[project]\nname = 'shop'\n")
    local.write("alembic.ini", ALEMBIC_INI)
    local.run().assert_outcomes(passed=5)


def test_paths_of_an_alembic_ini_are_those_from_its_folder(local: Project):
    local.write("shop/alembic.ini", ALEMBIC_INI)
    for each in ("models.py", "migrations"):
        (local.pytester.path / each).rename(local.pytester.path / "shop" / each)
    # What `.` is there is neither what it was before, nor what it is afterwards.
    for each in ("before", "after"):
        local.write(f"{each}.py", "")
        local.write(
            f"test_{each}.py",
            f"import sys\n\ndef test_{each}():\n"
            f"    sys.path.insert(0, '.')\n    import {each}\n    sys.path.pop(0)\n",
        )
    local.write(
        "conftest.py",
        "import pytest\n\n@pytest.hookimpl(trylast=True)\n"
        "def pytest_collection_modifyitems(items):\n"
        "    items.sort(key=lambda item: ('before', 'trace', 'after').index(\n"
        "        item.name.split('_')[-1]))\n",
    )
    trace = "hawkapi-migrations::each_step_leaves_no_trace"
    words = ("--import-mode=importlib", "--hawkapi-migrations", "shop")
    result = local.run_elsewhere(*words, "test_before.py", "test_after.py", trace)
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["alone", "workers"])
def test_a_project_that_is_missing_is_told_before_the_run(local: Project, words: tuple[str, ...]):
    (local.pytester.path / "pyproject.toml").unlink()
    result = local.run(*words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: no migrations to test: * has neither alembic.ini nor pyproject.toml; name it by *"]
    )
    local.write("pyproject.toml", "[project]\nname = 'shop'\n")
    result = local.run(*words)
    result.stderr.fnmatch_lines(["ERROR: *pyproject.toml has no section [[]tool.alembic[]]*"])
    result = local.run("--hawkapi-migrations", "nowhere.ini", *words)
    result.stderr.fnmatch_lines(["ERROR: *there is no *nowhere.ini; name it by*"])


def test_without_our_package_for_migrations_the_remedy_is_told(
    local: Project, monkeypatch: pytest.MonkeyPatch
):
    local.write("blocking.py", "import sys\nsys.modules['hawkapi_sqlalchemy.alembic'] = None\n")
    local.write("test_one.py", "def test_one(): pass")
    local.run_elsewhere("-p", "blocking").assert_outcomes(passed=1)
    result = local.run_elsewhere("-p", "blocking", "--hawkapi-migration-tests")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *hawkapi_sqlalchemy.alembic*: pip install hawkapi-sqlalchemy-alembic"]
    )


def test_other_tests_find_the_folder_and_the_path_as_they_were(local: Project):
    local.write(
        "test_after.py",
        "import os, sys\n"
        "before = os.getcwd(), sys.path[:]\n"
        "def test_after():\n"
        "    assert (os.getcwd(), sys.path) == before\n",
    )
    local.pytester.mkdir("shop")
    for each in ("models.py", "migrations", "pyproject.toml"):
        (local.pytester.path / each).rename(local.pytester.path / "shop" / each)
    local.write("conftest.py", "def pytest_collection_modifyitems(items): items.reverse()\n")
    result = local.run("--hawkapi-migrations", "shop", "-v")
    result.assert_outcomes(passed=6)
    assert "test_after" in [line for line in result.outlines if "PASSED" in line][-1]
