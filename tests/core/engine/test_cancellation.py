"""A cancelled session leaves nothing half stored, and its connection is back or replaced."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from sqlalchemy import event, text

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import Database, ending
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.names import REPLICA

COUNT = "SELECT n FROM counters WHERE id = 1"
INCREMENT = text("UPDATE counters SET n = n + 1 WHERE id = 1")
LONG = {
    "sqlite": "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
    "mariadb": "SELECT sleep(60)",
}


@pytest.fixture
async def database(counters: str, make_database: Any) -> Database:
    """One connection at most: whoever keeps it is found out."""
    return make_database(counters, pool_size=1, max_overflow=0, pool_timeout=5)


async def works(database: Database) -> int:
    """Use every connection there may be, write, and answer the counter."""
    async with asyncio.timeout(8):
        async with database.session() as session:
            await session.execute(INCREMENT)
            return await session.scalar(text(COUNT)) or 0


async def test_cancelled_in_the_middle_of_a_statement(dialect: str, database: Database) -> None:
    sent = asyncio.Event()
    event.listen(
        database.get().engine.sync_engine,
        "before_cursor_execute",
        lambda *args: sent.set() if args[2] == LONG[dialect] else None,
    )

    async def work() -> None:
        async with database.session() as session:
            await session.execute(INCREMENT)
            await session.execute(text(LONG[dialect]))

    async with asyncio.timeout(15):
        task = asyncio.create_task(work())
        await sent.wait()
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert await works(database) == 1
    assert database.checked_out == 0


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_cancelled_at_commit_it_is_stored_as_a_whole_or_not_at_all(
    steps: int, database: Database
) -> None:
    committing = asyncio.Event()
    event.listen(database.get().engine.sync_engine, "commit", lambda _: committing.set())

    async def work() -> None:
        async with database.session() as session:
            await session.execute(text("UPDATE counters SET n = n + 1"))

    async with asyncio.timeout(15):
        task = asyncio.create_task(work())
        await committing.wait()
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await works(database) in {1, 2}
        async with database.session(commit=False) as session:
            both = list(await session.scalars(text("SELECT n FROM counters ORDER BY id")))
    assert both in ([1, 0], [2, 1])
    assert database.checked_out == 0


async def test_cancelled_while_waiting_for_a_connection(database: Database) -> None:
    async def wait() -> None:
        async with database.session(commit=False) as session:
            await session.execute(text(COUNT))

    async with asyncio.timeout(15):
        async with database.session(commit=False) as holder:
            await holder.execute(text(COUNT))
            tasks = [asyncio.create_task(wait()) for _ in range(3)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            assert all(task.cancelled() for task in tasks)
        assert await works(database) == 1
    assert database.checked_out == 0


async def test_cancelled_at_any_step_whatsoever(database: Database) -> None:
    """Walk the moment of the cancellation through the whole life of a session.

    From the opening of its connection on: one that is cancelled while it is set up is closed, and
    not left to the garbage collector.
    """

    async def work() -> None:
        async with database.session() as session:
            await session.execute(text("UPDATE counters SET n = n + 1"))
            await session.scalar(text(COUNT))

    stored = 0
    async with asyncio.timeout(30):
        for steps in range(0, 40, 2):
            task = asyncio.create_task(work())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            gc.collect()
            async with database.session(commit=False) as session:
                one, other = await session.scalars(text("SELECT n FROM counters ORDER BY id"))
            assert one == other
            assert one in {stored, stored + 1}
            stored = one
            if steps % 4 == 0:
                await database.dispose()
    assert database.checked_out == 0


async def test_a_session_cancelled_again_while_it_ends_still_gives_its_connection_back(
    database: Database,
) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with database.session() as session:
            await session.execute(INCREMENT)
            begun.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(15):
        task = asyncio.create_task(work())
        await begun.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert await works(database) == 1
    assert database.checked_out == 0


@pytest.mark.dialects("postgresql", "mariadb")
@pytest.mark.parametrize("access", [Access.WRITE, Access.SNAPSHOT])
async def test_a_hanging_server_holds_the_end_of_a_session_up_no_longer_than_its_limit(
    own_server: DatabaseServer,
    access: Access,
    make_database: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ending, "_RELEASE_TIMEOUT", 0.3)
    database: Database = make_database(own_server.url())
    name = REPLICA if access is Access.SNAPSHOT else "primary"
    session = database.open(name, access=access)
    await session.execute(text("SELECT 1"))
    await asyncio.to_thread(own_server.pause)
    try:
        # The driver's own farewell takes up to two seconds more.
        async with asyncio.timeout(6):
            await ending.end_session(session)
        assert database.checked_out == 0
    finally:
        await asyncio.to_thread(own_server.resume)
    assert "the connection is given up" in caplog.text
    async with asyncio.timeout(10), database.session() as session:
        assert await session.scalar(text("SELECT 1")) == 1


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_reading_session_ends_without_a_word_to_a_hanging_server(
    own_server: DatabaseServer, make_database: Any
) -> None:
    """It has no transaction, so there is nothing that the server would have to hear."""
    database: Database = make_database(own_server.url())
    session = database.open(REPLICA, access=Access.READ)
    await session.execute(text("SELECT 1"))
    await asyncio.to_thread(own_server.pause)
    try:
        async with asyncio.timeout(2):
            await ending.end_session(session)
    finally:
        await asyncio.to_thread(own_server.resume)
    assert database.checked_out == 0
    assert database.get().open_connections == 1
