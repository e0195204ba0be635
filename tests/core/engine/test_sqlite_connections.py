"""SQLite: how a connection is set up."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from hawkapi_sqlalchemy.core import CannotConnectError, Database
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.dialects import aiosqlite_connection, sqlite

FULL, NORMAL = 2, 1
STORES = ["file", "memory"]


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    store = getattr(request, "param", "file")
    return "sqlite+aiosqlite://" + (f"/{tmp_path / 'app.db'}" if store == "file" else "")


async def pragma(database: Database, name: str) -> Any:
    async with database.session(commit=False) as session:
        return await session.scalar(text(f"PRAGMA {name}"))


@pytest.mark.parametrize("sqlite_url", STORES, indirect=True)
@pytest.mark.parametrize("access", Access)
async def test_foreign_keys_are_enforced_in_every_session(
    sqlite_url: str, access: Access, make_database: Any
) -> None:
    database: Database = make_database(sqlite_url)
    async with database.open("primary", access=access) as session:
        assert await session.scalar(text("PRAGMA foreign_keys")) == 1


async def test_a_row_that_refers_to_nothing_is_refused(sqlite_url: str, make_database: Any) -> None:
    database: Database = make_database(sqlite_url)
    async with database.session() as session:
        await session.execute(text("CREATE TABLE a (id INTEGER PRIMARY KEY)"))
        await session.execute(text("CREATE TABLE b (a INTEGER REFERENCES a (id))"))
    with pytest.raises(IntegrityError):
        async with database.session() as session:
            await session.execute(text("INSERT INTO b VALUES (1)"))


async def test_a_file_keeps_a_write_ahead_log_and_full_synchronisation(
    sqlite_url: str, make_database: Any
) -> None:
    """With NORMAL a power failure could take commits that were acknowledged."""
    database = make_database(sqlite_url)
    assert await pragma(database, "journal_mode") == "wal"
    assert await pragma(database, "synchronous") == FULL


@pytest.mark.parametrize(("fields", "expected"), [({}, 30_000), ({"lock_timeout": 1.5}, 1500)])
async def test_a_locked_database_is_waited_for(
    fields: dict[str, float], expected: int, sqlite_url: str, make_database: Any
) -> None:
    assert await pragma(make_database(sqlite_url, **fields), "busy_timeout") == expected


async def test_pragmas_of_the_configuration_win(sqlite_url: str, make_database: Any) -> None:
    database = make_database(
        sqlite_url,
        sqlite_pragmas={
            "foreign_keys": "OFF",
            "journal_mode": "DELETE",
            "synchronous": "NORMAL",
            "cache_size": -4000,
        },
    )
    assert await pragma(database, "foreign_keys") == 0
    assert await pragma(database, "journal_mode") == "delete"
    assert await pragma(database, "synchronous") == NORMAL
    assert await pragma(database, "cache_size") == -4000


async def test_many_connections_that_open_a_fresh_file_at_once_all_succeed(
    tmp_path: Path, make_database: Any
) -> None:
    """Switching to the write-ahead log needs the file to itself, and SQLite does not wait."""
    for attempt in range(5):
        url = f"sqlite+aiosqlite:///{tmp_path / f'{attempt}.db'}"
        database: Database = make_database(url, pool_size=16)
        everybody_is_in = asyncio.Barrier(16)

        async def read(database: Database = database, barrier: Any = everybody_is_in) -> int:
            async with database.session(commit=False) as session:
                value = await session.scalar(text("SELECT 1"))
                await barrier.wait()
                return value

        async with asyncio.timeout(30):
            assert await asyncio.gather(*(read() for _ in range(16))) == [1] * 16


async def test_a_file_that_others_read_is_switched_to_the_log_when_they_have_done(
    tmp_path: Path, make_database: Any
) -> None:
    file = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as stranger:
        stranger.execute("CREATE TABLE t (x INTEGER)")
        stranger.execute("BEGIN")
        stranger.execute("SELECT count(*) FROM t").fetchall()
        database: Database = make_database(f"sqlite+aiosqlite:///{file}")
        asking = asyncio.create_task(pragma(database, "journal_mode"))
        done, _ = await asyncio.wait([asking], timeout=0.2)
        assert not done
        stranger.execute("ROLLBACK")
        assert await asking == "wal"


async def test_a_switch_to_the_log_that_sqlite_refuses_is_tried_again(
    sqlite_url: str, make_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of connections that switch in the same moment SQLite refuses one, without waiting.

    That happens in one of some sixty rounds of sixteen, so the refusal is made up here.
    """
    refusals = 3
    execute = sqlite.cursor_execute

    def refuse(connection: Any, *statements: str) -> None:
        nonlocal refusals
        if "journal_mode" in statements[0] and refusals:
            refusals -= 1
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error
        execute(connection, *statements)

    monkeypatch.setattr(sqlite, "cursor_execute", refuse)
    assert await pragma(make_database(sqlite_url), "journal_mode") == "wal"
    assert refusals == 0
    refusals = 10**6
    with pytest.raises(OperationalError, match="locked"):
        await pragma(make_database(sqlite_url, lock_timeout=0.05), "journal_mode")


async def test_a_connection_to_a_file_is_not_pinged(sqlite_url: str, make_database: Any) -> None:
    database: Database = make_database(sqlite_url, pool_pre_ping=True)
    await pragma(database, "foreign_keys")
    statements: list[str] = []
    pinged: list[object] = []
    engine = database.get().engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    original = engine.dialect.do_ping
    engine.dialect.do_ping = lambda connection: pinged.append(1) or original(connection)  # type: ignore[method-assign]
    async with database.session(commit=False) as session:
        await session.execute(text("SELECT 2"))
    assert statements == ["SELECT 2"]
    assert pinged == []


async def test_a_read_only_connection_takes_writes_again_in_its_next_session(
    sqlite_url: str, make_database: Any
) -> None:
    """`query_only` stays with the connection, which the pool hands on."""
    database: Database = make_database(sqlite_url, pool_size=1, max_overflow=0)
    engine = database.get()
    seen: list[tuple[Access, int]] = []
    for access in (Access.SNAPSHOT, Access.WRITE, Access.SNAPSHOT, Access.MANUAL, Access.WRITE):
        session = engine.session(access)
        seen.append((access, await session.scalar(text("PRAGMA query_only")) or 0))
        await session.close()
    assert seen == [
        (Access.SNAPSHOT, 1),
        (Access.WRITE, 0),
        (Access.SNAPSHOT, 1),
        (Access.MANUAL, 0),
        (Access.WRITE, 0),
    ]


async def test_a_read_only_file_can_be_read(sqlite_url: str, make_database: Any) -> None:
    """A read-only configuration changes nothing in the file, its journal mode neither."""
    writer: Database = make_database(sqlite_url, sqlite_pragmas={"journal_mode": "DELETE"})
    async with writer.session() as session:
        await session.execute(text("CREATE TABLE t (x INTEGER)"))
    await writer.dispose()
    reader: Database = make_database(
        sqlite_url.replace("sqlite:///", "sqlite:///file:") + "?mode=ro&uri=true", read_only=True
    )
    assert await pragma(reader, "journal_mode") == "delete"
    async with reader.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM t")) == 0


async def test_a_misspelt_journal_mode_or_pragma_value_does_not_pass_for_a_lock(
    tmp_path: Path, make_database: Any
) -> None:
    file = tmp_path / "not-a-database"
    file.write_bytes(b"x" * 4096)
    database: Database = make_database(f"sqlite+aiosqlite:///{file}")
    with pytest.raises(Exception, match="not a database") as caught:
        await pragma(database, "user_version")
    assert not isinstance(caught.value, CannotConnectError)


def test_a_connection_whose_loop_ends_while_it_opens_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def connect_late(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        begun.set()
        assert may_go_on.wait(20)
        opened.append(connect(*args, check_same_thread=False, **kwargs))
        return opened[0]

    monkeypatch.setattr(sqlite3, "connect", connect_late)
    connection = aiosqlite_connection.connect(str(tmp_path / "app.db"))

    async def give_up() -> None:
        task = asyncio.ensure_future(connection)
        await asyncio.to_thread(begun.wait, 20)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(give_up())
    may_go_on.set()
    thread: Any = connection
    thread._thread.join(20)
    assert not thread._thread.is_alive()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
