"""A database of its own for each test, on SQLite or on a server."""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.core import DatabaseConfig, create_engine
from hawkapi_sqlalchemy.pytest._shield import finished

_SERVERS = {"postgresql", "mariadb", "mysql"}


@asynccontextmanager
async def database_of_its_own(url: URL) -> AsyncGenerator[URL]:
    """Provide the URL of a new, empty database, and remove that database at the end.

    Args:
        url: A SQLite URL, or that of any database on the server to use.

    Yields:
        The URL of the new database; in-memory SQLite is its own.

    Raises:
        ValueError: No database can be made on this kind of server.
        ConfigurationError: The URL's driver is not installed.
        CannotConnectError: The server cannot be reached.
    """
    kind = url.get_backend_name()
    if kind == "sqlite":
        if _in_memory(url):
            yield url
            return
        with tempfile.TemporaryDirectory(prefix="hawkapi-sqlalchemy-") as folder:
            yield url.set(database=str(Path(folder) / "test.db"))
        return
    if kind not in _SERVERS:
        raise ValueError(
            f"a temporary database cannot be made on {kind!r}; use SQLite, PostgreSQL, MariaDB "
            "or MySQL"
        )
    name = f"hawkapi_test_{uuid4().hex}"
    config = DatabaseConfig(url, engine_kwargs={"poolclass": NullPool})
    engine = create_engine(config, name="temporary").engine
    server = engine.execution_options(isolation_level="AUTOCOMMIT")
    # A server that cannot be reached has nothing to drop.
    await _execute(server, "SELECT 1")
    try:
        # Uninterrupted: a CREATE that is cancelled may be carried out all the same.
        await finished(_execute(server, f"CREATE DATABASE {name}"))
        yield url.set(database=name)
    finally:
        await finished(_drop(server, name))


def _in_memory(url: URL) -> bool:
    database = url.database or ":memory:"
    return database.startswith((":memory:", "file::memory:")) or url.query.get("mode") == "memory"


async def _drop(server: AsyncEngine, name: str) -> None:
    """Drop the database if it was made, ending the connections that a test left open."""
    try:
        if server.dialect.name == "postgresql":
            await _execute(server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            return
        async with server.connect() as connection:
            left_open = "SELECT id FROM information_schema.processlist WHERE db = :name"
            for thread in await connection.scalars(text(left_open), {"name": name}):
                # It may have ended by itself meanwhile: "Unknown thread id".
                with suppress(OperationalError):
                    await connection.exec_driver_sql(f"KILL {int(thread)}")
            await connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
    finally:
        await server.dispose()


async def _execute(server: AsyncEngine, statement: str) -> None:
    async with server.connect() as connection:
        await connection.exec_driver_sql(statement)
