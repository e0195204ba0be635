"""SQLite: a BEGIN that waits for the first statement keeps what an earlier one promises."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import aiosqlite
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from hawkapi_sqlalchemy.core import Database, TransactionLostError
from hawkapi_sqlalchemy.core.ending import end_session
from hawkapi_sqlalchemy.core.faults import Fault, error_code, fault_of

pytestmark = [pytest.mark.dialects("sqlite")]

COUNT = text("SELECT n FROM counters WHERE id = 1")
INCREMENT = text("UPDATE counters SET n = n + 1 WHERE id = 1")
NUMBERS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000) "


def file_of(url: str) -> str:
    return url.removeprefix("sqlite+aiosqlite:///")


@pytest.fixture
def database(counters: str, make_database: Any) -> Database:
    return make_database(counters, pool_size=1, max_overflow=0)


@pytest.fixture
async def driver(database: Database) -> Any:
    """The only connection, opened."""
    async with database.session(commit=False) as session:
        await session.execute(COUNT)
    [driver] = database.get()._pools.main.open.values()
    return driver


async def test_a_transaction_that_did_nothing_does_not_reach_into_the_next_one(
    database: Database, driver: Any, ask: Any
) -> None:
    async with database.session() as session:
        await session.connection()
    await driver.execute("UPDATE counters SET n = 5")
    assert await ask("SELECT n FROM counters WHERE id = 1") == 5


async def test_what_is_run_on_the_drivers_connection_belongs_to_the_transaction(
    database: Database, driver: Any, ask: Any
) -> None:
    """Whoever goes past SQLAlchemy must not find the transaction not yet begun."""
    runs: list[Callable[[], Any]] = [
        lambda: driver.execute("UPDATE counters SET n = 7"),
        lambda: driver.executemany("UPDATE counters SET n = ?", [(7,)]),
        lambda: driver.execute_insert("INSERT INTO counters VALUES (7, 7)"),
        lambda: driver.execute_fetchall("UPDATE counters SET n = 7 RETURNING n"),
        lambda: driver.cursor().execute("UPDATE counters SET n = 7"),
        lambda: driver.cursor().executemany("UPDATE counters SET n = ?", [(7,)]),
    ]
    for run in runs:
        async with database.session() as session:
            await session.connection()
            await run()
            assert driver._conn.in_transaction
            await session.rollback()
    assert await ask("SELECT max(n) FROM counters") == 0


async def test_a_lock_that_begin_cannot_get_is_the_first_statements_error_and_can_be_tried_again(
    counters: str, make_database: Any, ask: Any
) -> None:
    database: Database = make_database(counters, lock_timeout=0.05)
    async with database.session() as session:
        await session.execute(COUNT)
    with contextlib.closing(sqlite3.connect(file_of(counters), isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        async with database.session() as session:
            for _ in range(2):
                with pytest.raises(OperationalError) as caught:
                    await session.execute(INCREMENT)
                assert error_code(caught.value.orig) == sqlite3.SQLITE_BUSY
                assert fault_of(caught.value) is Fault.LOCK_TIMEOUT
            stranger.execute("ROLLBACK")
            await session.execute(INCREMENT)
    assert await ask("SELECT n FROM counters WHERE id = 1") == 1


async def test_a_lock_that_begin_cannot_get_leaves_the_connection_to_the_next_session(
    counters: str, make_database: Any, ask: Any
) -> None:
    database: Database = make_database(counters, lock_timeout=0.05, pool_size=1, max_overflow=0)
    async with database.session() as session:
        await session.execute(COUNT)
    with contextlib.closing(sqlite3.connect(file_of(counters), isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(OperationalError):
            async with database.session() as session:
                await session.execute(INCREMENT)
        async with database.session(commit=False) as session:
            assert await session.scalar(COUNT) == 0
        stranger.execute("ROLLBACK")
    async with database.session() as session:
        await session.execute(INCREMENT)
    assert await ask("SELECT n FROM counters WHERE id = 1") == 1
    assert len(database.get()._pools.main.open) == 1


async def test_a_statement_whose_task_was_cancelled_in_begin_is_never_run(
    counters: str, database: Database, driver: Any
) -> None:
    ran: list[int] = []
    await driver.create_function("note", 1, ran.append)
    with contextlib.closing(sqlite3.connect(file_of(counters), isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        session = database.open()
        task = asyncio.create_task(session.execute(text("SELECT note(1)")))
        async with asyncio.timeout(10):
            while driver._asked == driver._answered:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0)
            task.cancel()
            # Closing waits for the thread, which waits for the lock.
            while driver._running:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0)
            stranger.execute("ROLLBACK")
            await asyncio.wait([task])
            await end_session(session)
            await asyncio.wrap_future(driver._ended)
        assert task.cancelled()
        assert ran == []
        stranger.execute("BEGIN IMMEDIATE")
    assert database.checked_out == 0


async def test_a_rollback_waits_for_a_begin_that_is_still_under_way(
    counters: str, driver: Any
) -> None:
    """Seen from the event loop nothing is open yet."""
    with contextlib.closing(sqlite3.connect(file_of(counters), isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        driver.begin_later("BEGIN IMMEDIATE")
        task = asyncio.ensure_future(driver.call(int))
        task.cancel()
        rolling_back = asyncio.create_task(driver.rollback())
        await asyncio.sleep(0)
        stranger.execute("ROLLBACK")
        async with asyncio.timeout(10):
            await rolling_back
            await driver.call(int)
        assert not driver.in_transaction
        stranger.execute("BEGIN IMMEDIATE")


async def test_a_statements_time_does_not_run_while_begin_waits_for_a_lock(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, statement_timeout=0.3)
    with contextlib.closing(sqlite3.connect(file_of(counters), isolation_level=None)) as stranger:
        async with database.session() as session:
            await session.execute(COUNT)
        stranger.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(20), database.session() as session:
            counting = asyncio.create_task(
                session.scalar(text(NUMBERS + "SELECT count(*) FROM n")),
            )
            done, _ = await asyncio.wait([counting], timeout=0.4)
            assert not done
            stranger.execute("ROLLBACK")
            assert await counting == 10_000


async def test_a_first_statement_that_rolls_back_itself_loses_the_transaction(
    database: Database, ask: Any
) -> None:
    with pytest.raises(TransactionLostError):
        async with database.session() as session:
            with pytest.raises(IntegrityError):
                await session.execute(text("INSERT OR ROLLBACK INTO counters VALUES (1, 0)"))
            await session.execute(INCREMENT)
    assert await ask("SELECT n FROM counters WHERE id = 1") == 0


async def test_a_connection_of_the_applications_own_making_begins_at_once(
    counters: str, make_database: Any, ask: Any
) -> None:
    database: Database = make_database(
        counters,
        engine_kwargs={
            "async_creator": lambda: aiosqlite.connect(file_of(counters), isolation_level=None)
        },
    )
    async with database.session() as session:
        await session.execute(INCREMENT)
        await session.rollback()
        await session.execute(INCREMENT)
        async with database.session(commit=False) as other:
            rows = await other.stream(text("SELECT n FROM counters"))
            assert len(await rows.all()) == 2
        with pytest.raises(IntegrityError):
            await session.execute(text("INSERT OR ROLLBACK INTO counters VALUES (1, 0)"))
        await session.rollback()
        await session.execute(INCREMENT)
    assert await ask("SELECT n FROM counters WHERE id = 1") == 1


def test_a_statement_that_outlives_its_event_loop_does_not_end_the_thread(tmp_path: Any) -> None:
    """The connection could not be closed any more, and would keep its lock."""
    from hawkapi_sqlalchemy.core.dialects.aiosqlite_connection import connect

    file = tmp_path / "app.db"
    started, go_on = threading.Event(), threading.Event()

    def wait() -> int:
        started.set()
        return int(go_on.wait(20))

    async def leave() -> Any:
        driver = connect(str(file), isolation_level=None, check_same_thread=False)
        await driver
        await driver.create_function("wait", 0, wait)
        driver.begin_later("BEGIN IMMEDIATE")
        task = asyncio.create_task(driver.execute("SELECT wait()"))
        await asyncio.to_thread(started.wait, 20)
        task.cancel()
        return driver

    driver = asyncio.run(leave())
    go_on.set()
    driver.stop()
    driver._ended.result(20)
    with contextlib.closing(sqlite3.connect(file, isolation_level=None, timeout=0)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
