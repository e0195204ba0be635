"""What the engine's tests share: Databases that are disposed, a table of counters, scripts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.core import Database, DatabaseConfig
from wire import Wire, tapped


class MakeDatabase(Protocol):
    def __call__(self, url: str, **fields: Any) -> Database: ...


class Ask(Protocol):
    def __call__(self, sql: str) -> Awaitable[Any]: ...


@pytest.fixture
async def make_database() -> AsyncIterator[MakeDatabase]:
    """Make a Database of one primary; it is disposed after the test."""
    made: list[Database] = []

    def make(url: str, **fields: Any) -> Database:
        database = Database()
        database.add("primary", DatabaseConfig(url, **fields))
        made.append(database)
        return database

    yield make
    for database in made:
        await database.dispose()


@asynccontextmanager
async def plain_connection(url: str) -> AsyncIterator[Any]:
    """A connection of SQLAlchemy's own, with nothing of ours."""
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


@pytest.fixture
async def counters(database_url: str) -> str:
    """The URL of a fresh database with a table `counters`: two rows, both at 0."""
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER)"))
        await connection.execute(text("INSERT INTO counters VALUES (1, 0), (2, 0)"))
    await engine.dispose()
    return database_url


@pytest.fixture
def ask(database_url: str) -> Ask:
    """Ask the fresh database for one value, on a connection of SQLAlchemy's own."""

    async def value(sql: str) -> Any:
        async with plain_connection(database_url) as connection:
            return (await connection.execute(text(sql))).scalar()

    return value


@pytest.fixture
async def wire(counters: str) -> AsyncIterator[Wire]:
    """A relay to the fresh database's server, which reads along; for PostgreSQL and MariaDB."""
    async with tapped(counters) as wire:
        yield wire


class Add(Protocol):
    def __call__(self, session: AsyncSession, row: int = 1, amount: int = 1) -> Awaitable[None]: ...


@pytest.fixture
def add() -> Add:
    """Read a counter, let others run, write the sum: loses updates if writers run at once."""

    async def read_modify_write(session: AsyncSession, row: int = 1, amount: int = 1) -> None:
        n = await session.scalar(text("SELECT n FROM counters WHERE id = :id"), {"id": row})
        await asyncio.sleep(0)
        await session.execute(
            text("UPDATE counters SET n = :n WHERE id = :id"), {"n": n + amount, "id": row}
        )

    return read_modify_write


class RunScript(Protocol):
    def __call__(self, script: str, *arguments: str) -> str: ...


@pytest.fixture
def run_script() -> RunScript:
    """Run a script in a fresh interpreter, with warnings as errors; it must print no error."""

    def run(script: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # What goes wrong in `__del__` or at exit changes no exit code; it is only printed.
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.strip()

    return run


type Sessions = Callable[[], AsyncSession]
