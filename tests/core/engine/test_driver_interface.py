"""What is relied on of the drivers' private names, and what happens where one is missing.

SQLite's are in `test_sqlite_cursor.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import text

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.dialects import asyncpg_transactions, mysql, postgresql
from hawkapi_sqlalchemy.core.ending import end_session
from wire import PING, Wire

COUNT = text("SELECT n FROM counters WHERE id = 1")
INCREMENT = text("UPDATE counters SET n = n + 1 WHERE id = 1")

pytestmark = pytest.mark.dialects("postgresql", "mariadb")
on_postgresql = pytest.mark.dialects("postgresql")
on_mariadb = pytest.mark.dialects("mariadb")


class Hide:
    """A driver whose next release has lost some of its private names."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.looked_for: list[str] = []

    def __call__(self, module: ModuleType, *names: str) -> None:
        def lookup(owner: object, name: str, default: object) -> object:
            if name in names:
                self.looked_for.append(name)
                return default
            return getattr(owner, name, default)

        self._monkeypatch.setattr(module, "getattr", lookup, raising=False)


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Hide:
    return Hide(monkeypatch)


@pytest.fixture
async def database(wire: Wire, make_database: Any) -> AsyncIterator[Database]:
    """A Database of one connection, through the relay, which a session has used."""
    database: Database = make_database(wire.url, pool_size=1, max_overflow=0, ping_after_idle=600.0)
    async with database.session() as session:
        await session.execute(COUNT)
    wire.clear()
    yield database
    await database.dispose()


def driver_of(database: Database) -> Any:
    [driver] = database.get()._pools.main.open.values()
    return driver


def pings(wire: Wire) -> int:
    return sum(each in (PING, "SELECT 1") for each in wire.statements)


@on_postgresql
async def test_asyncpgs_adapter_starts_its_transactions_by_a_method_of_its_own(
    database: Database,
) -> None:
    async with database.session() as session:
        connection = await session.connection()
        adapted: Any = (await connection.get_raw_connection()).dbapi_connection
        assert asyncio.iscoroutinefunction(adapted._start_transaction)
        assert adapted._transaction is not None, "the adapter does not know of the transaction"


@on_postgresql
async def test_asyncpgs_connection_has_its_transport(database: Database) -> None:
    assert isinstance(driver_of(database)._transport, asyncio.Transport)


@on_mariadb
async def test_aiomysqls_connection_has_its_two_streams(database: Database) -> None:
    driver = driver_of(database)
    assert isinstance(driver._reader, asyncio.StreamReader)
    assert isinstance(driver._writer, asyncio.StreamWriter)
    assert isinstance(driver._writer.transport, asyncio.Transport)


async def test_asyncios_reader_tells_what_is_unread_and_whether_it_has_ended() -> None:
    reader = asyncio.StreamReader()
    assert not reader._buffer
    assert reader._eof is False
    reader.feed_data(b"x")
    reader.feed_eof()
    assert reader._buffer == b"x"
    assert reader._eof is True


async def test_asyncios_transport_can_be_ended_without_its_loop(database: Database) -> None:
    driver = driver_of(database)
    transport = driver._transport if hasattr(driver, "_transport") else driver._writer.transport
    assert callable(transport._call_connection_lost)


async def test_with_every_name_in_place_the_server_is_not_asked(
    database: Database, wire: Wire
) -> None:
    for _ in range(3):
        async with database.session() as session:
            await session.execute(INCREMENT)
    assert pings(wire) == 0


@on_postgresql
async def test_where_asyncpgs_transport_is_missing_the_server_is_asked_and_sessions_work(
    database: Database, wire: Wire, hide: Hide
) -> None:
    await use_without(postgresql, "_transport", database, wire, hide)


@on_mariadb
@pytest.mark.parametrize("name", ["_reader", "_buffer", "_eof", "_writer"])
async def test_where_aiomysqls_or_asyncios_name_is_missing_the_server_is_asked_and_sessions_work(
    name: str, database: Database, wire: Wire, hide: Hide
) -> None:
    await use_without(mysql, name, database, wire, hide)


async def use_without(
    module: ModuleType, name: str, database: Database, wire: Wire, hide: Hide
) -> None:
    first = driver_of(database)
    hide(module, name)
    for _ in range(3):
        async with database.session() as session:
            await session.execute(INCREMENT)
    assert pings(wire) == 3
    assert set(hide.looked_for) == {name}
    assert driver_of(database) is first
    async with database.session() as session:
        assert await session.scalar(COUNT) == 3


@on_postgresql
async def test_begin_goes_by_itself(database: Database, wire: Wire) -> None:
    session = database.open()
    await session.connection()
    assert wire.statements == ["BEGIN;"]
    await end_session(session)
    assert wire.statements == ["BEGIN;", "ROLLBACK;"]


@on_postgresql
async def test_where_the_adapter_has_no_such_method_begin_goes_with_the_first_statement(
    database: Database, wire: Wire, hide: Hide
) -> None:
    hide(asyncpg_transactions, "_start_transaction")
    session = database.open()
    await session.connection()
    assert wire.statements == []
    await session.execute(INCREMENT)
    assert wire.statements == ["BEGIN;", str(INCREMENT)]
    await session.rollback()
    await end_session(session)
    async with database.session() as session:
        await session.execute(INCREMENT)
    async with database.session(commit=False, snapshot=True) as session:
        assert await session.scalar(COUNT) == 1
    assert hide.looked_for == ["_start_transaction"] * 3
    assert "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;" in wire.statements


async def test_a_loop_can_be_left_without_the_names_too(
    counters: str, run_script: Callable[..., str]
) -> None:
    """Connections of a closed loop are dropped; what cannot be reached is left to be collected."""
    script = """
import asyncio, sys, warnings
from sqlalchemy import text
from hawkapi_sqlalchemy.core import Database, DatabaseConfig
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.dialects import mysql, postgresql, transports
from hawkapi_sqlalchemy.core.ending import end_session

# The transports that nobody can close now complain when they are collected.
warnings.simplefilter("ignore", ResourceWarning)
HIDDEN = {"_transport", "_writer", "_ssl_protocol", "_call_connection_lost"}
for module in (mysql, postgresql, transports):
    module.getattr = lambda owner, name, default: (
        default if name in HIDDEN else getattr(owner, name, default)
    )
database = Database()
database.add("primary", DatabaseConfig(sys.argv[1]))

async def use():
    for access in (Access.WRITE, Access.READ):
        session = database.open(access=access)
        print(await session.scalar(text("SELECT n FROM counters WHERE id = 1")))
        await end_session(session)

asyncio.run(use())
asyncio.run(use())
asyncio.run(database.dispose())
"""
    out = await asyncio.to_thread(run_script, script, counters)
    assert out.splitlines() == ["0"] * 4
