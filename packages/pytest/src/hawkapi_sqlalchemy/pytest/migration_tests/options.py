"""What is asked for: by options, in pytest's configuration file, by node ids."""

from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = [
    "FILES",
    "GROUP",
    "add_options",
    "chosen",
    "file_at",
    "is_wanted",
    "names_of",
    "of_others",
    "place",
]

FILES = ("alembic.ini", "pyproject.toml")
"""What a migration project is configured in."""

GROUP = "hawkapi-migrations"
"""What the node ids of the tests begin with."""

_TESTS = "test the migrations: one head, up and down, models and schema, what downgrades leave"
_PLACE = (
    "the migration project: its alembic.ini or pyproject.toml, or the folder of one (default: the "
    "root folder)"
)


def add_options(parser: pytest.Parser) -> None:
    """Declare the options and configuration keys of the migration tests.

    Args:
        parser: pytest's.
    """
    group = parser.getgroup("hawkapi-sqlalchemy")
    group.addoption("--hawkapi-migration-tests", action="store_true", help=_TESTS)
    group.addoption("--hawkapi-migrations", metavar="PATH", help=_PLACE)
    parser.addini("hawkapi_migration_tests", f"{_TESTS} (default: false)", type="bool")
    parser.addini("hawkapi_migrations", _PLACE)


def is_wanted(config: pytest.Config) -> bool:
    """Tell whether the run has migration tests.

    The configuration file does not ask for them where the command line names nothing but files and
    single tests.

    Args:
        config: pytest's.
    """
    if config.getoption("--hawkapi-migration-tests") or chosen(config):
        return True
    if not config.getini("hawkapi_migration_tests"):
        return False
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        return True
    folder = config.invocation_params.dir
    return any((folder / each).is_dir() for each in config.args)


def chosen(config: pytest.Config) -> list[str]:
    """List the arguments that are node ids of migration tests.

    Args:
        config: pytest's.
    """
    return [each for each in config.args if _is_ours(config, each)]


def of_others(config: pytest.Config) -> list[str]:
    """List the arguments that are not.

    Args:
        config: pytest's.
    """
    return [each for each in config.args if not _is_ours(config, each)]


def _is_ours(config: pytest.Config, argument: str) -> bool:
    folder, *_ = argument.split("::")
    # Below the root folder pytest prints a node id as a path that leads up to it.
    path = Path(folder)
    return path.name == GROUP and not (config.invocation_params.dir / path).exists()


def place(config: pytest.Config) -> Path:
    """Answer where the migration project is, as far as the configuration says.

    Args:
        config: pytest's.
    """
    if option := config.getoption("--hawkapi-migrations"):
        return config.invocation_params.dir / option
    return config.rootpath / config.getini("hawkapi_migrations")


def file_at(place: Path) -> Path:
    """Answer the configuration file of the migration project at a place.

    Args:
        place: The file, or its folder.

    Returns:
        The file; the place itself where there is none.
    """
    return next((place / each for each in FILES if (place / each).is_file()), place)


def names_of(arguments: Sequence[str]) -> set[str]:
    """Answer the names of the tests in node ids; none where one is that of the whole group.

    Args:
        arguments: The node ids.
    """
    names = {each.partition("::")[2] for each in arguments}
    return set() if "" in names else names
