"""Errors that tell what to do, and no password."""

import subprocess
import sys
from typing import Any

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy.ext.asyncio import create_async_engine

from hawkapi_sqlalchemy.alembic import DriverNotInstalledError, MigrationError


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without database drivers."""
    for driver in ("asyncpg", "aiomysql", "psycopg2", "psycopg"):
        monkeypatch.setitem(sys.modules, driver, None)


@pytest.mark.parametrize(
    ("url", "driver", "remedy"),
    [
        ("postgresql+asyncpg://u:s3cret@h/d", "asyncpg", "hawkapi-sqlalchemy-alembic[postgres]"),
        ("mysql+aiomysql://u:s3cret@h/d", "aiomysql", "hawkapi-sqlalchemy-alembic[mysql]"),
        ("mariadb+aiomysql://u:s3cret@h/d", "aiomysql", "hawkapi-sqlalchemy-alembic[mysql]"),
        ("postgresql+psycopg2://u:s3cret@h/d", "psycopg2", "postgresql+asyncpg://"),
        ("oracle+oracledb://u:s3cret@h/d", "oracledb", "install the package"),
    ],
)
def test_a_missing_driver_is_named_with_what_to_install(
    empty_project, missing, url, driver, remedy
):
    empty_project.url = url
    with pytest.raises(DriverNotInstalledError) as caught:
        empty_project.upgrade()
    assert caught.value.driver == driver
    assert remedy in caught.value.remedy
    assert remedy in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["u:s3cret@h/d", "postgresql://u:p@h:s3cret/d", "", "s3cret://u@h"])
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(empty_project, url):
    empty_project.url = url
    with pytest.raises(MigrationError, match="URL") as caught:
        empty_project.upgrade()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    if not url.startswith("s3cret"):
        assert "s3cret" not in str(caught.value)


def test_an_unknown_kind_of_database_is_named(empty_project):
    empty_project.url = "dbase+floppy://u:s3cret@h/d"
    with pytest.raises(MigrationError, match=r"dbase\+floppy") as caught:
        empty_project.upgrade()
    assert "s3cret" not in str(caught.value)


def test_the_command_line_of_alembic_prints_the_message_alone(empty_project):
    """Alembic's command line knows its own error class."""
    assert issubclass(MigrationError, CommandError)


async def test_an_async_connection_is_refused_with_the_remedy(empty_project):
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        empty_project.connection = connection
        with pytest.raises(MigrationError, match="run_sync"):
            empty_project.upgrade()
    await engine.dispose()


def test_a_given_thing_that_is_no_connection_is_refused(empty_project):
    empty_project.connection = object()
    with pytest.raises(MigrationError, match="neither a SQLAlchemy connection nor an engine"):
        empty_project.upgrade()


def test_an_error_of_a_migration_reaches_a_caller_in_an_event_loop(empty_project):
    import asyncio

    empty_project.add("one", 'raise LookupError("from the migration")')

    async def start() -> Any:
        command.upgrade(empty_project.config, "head")

    with pytest.raises(LookupError, match="from the migration"):
        asyncio.run(start())


def test_importing_loads_no_web_framework_no_pytest_and_no_driver():
    code = (
        "import sys; import hawkapi_sqlalchemy.alembic;"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    loaded = set(output.stdout.split())
    assert {"alembic", "sqlalchemy"} <= loaded
    assert not loaded & {"hawkapi", "pytest", "aiosqlite", "asyncpg", "aiomysql", "msgspec"}
