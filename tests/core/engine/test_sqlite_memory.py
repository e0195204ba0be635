"""SQLite in memory: isolated sessions, and data that live as long as the engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.faults import is_retryable

URLS = [
    "sqlite+aiosqlite://",
    "sqlite+aiosqlite:///:memory:",
    "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true",
    "sqlite+aiosqlite:///file:name?mode=memory&cache=shared&uri=true",
]


@pytest.fixture
async def memory(make_database: Any) -> Database:
    return await with_table(make_database("sqlite+aiosqlite://"))


async def with_table(database: Database) -> Database:
    async with database.session() as session:
        await session.execute(text("CREATE TABLE t (x INTEGER)"))
    return database


async def rows(database: Database) -> list[int]:
    async with database.session(commit=False) as session:
        return list(await session.scalars(text("SELECT x FROM t ORDER BY x")))


@pytest.mark.parametrize("url", URLS)
async def test_every_spelling_of_memory_is_one_database_for_all_sessions(
    url: str, make_database: Any
) -> None:
    database = await with_table(make_database(url))
    async with database.session() as session:
        await session.execute(text("INSERT INTO t VALUES (1)"))
    async with (
        database.session(commit=False) as one,
        database.session(commit=False) as other,
    ):
        connections = [await session.connection() for session in (one, other)]
        raw = [await connection.get_raw_connection() for connection in connections]
        assert raw[0].driver_connection is not raw[1].driver_connection
        for session in (one, other):
            assert await session.scalar(text("SELECT x FROM t")) == 1


async def test_one_sessions_rollback_leaves_the_others_work(memory: Database) -> None:
    reader_has_begun, writer_is_done = asyncio.Event(), asyncio.Event()

    async def doomed() -> None:
        async with memory.session(commit=False) as session:
            await session.execute(text("SELECT x FROM t"))
            reader_has_begun.set()
            await writer_is_done.wait()
            await session.rollback()

    async def kept() -> None:
        await reader_has_begun.wait()
        async with memory.session(commit=False) as session:
            await session.execute(text("SELECT x FROM t"))
        writer_is_done.set()
        async with memory.session() as session:
            await session.execute(text("INSERT INTO t VALUES (1)"))

    async with asyncio.timeout(20):
        await asyncio.gather(doomed(), kept())
    assert await rows(memory) == [1]


async def test_a_writer_that_rolls_back_and_one_that_commits_do_not_mix(memory: Database) -> None:
    async def write(x: int) -> None:
        async with memory.session() as session:
            await session.execute(text("INSERT INTO t VALUES (:x)"), {"x": x})
            await asyncio.sleep(0)
            if x % 2:
                raise ZeroDivisionError

    done = await asyncio.gather(*(write(x) for x in range(20)), return_exceptions=True)
    assert [type(each) for each in done] == [type(None), ZeroDivisionError] * 10
    assert await rows(memory) == list(range(0, 20, 2))


async def test_uncommitted_work_is_seen_by_nobody_else(make_database: Any) -> None:
    """Without a write-ahead log a reader waits for the writer; its time-out may be retried."""
    database = await with_table(make_database("sqlite+aiosqlite://", lock_timeout=0.2))
    async with database.session() as writer:
        await writer.execute(text("INSERT INTO t VALUES (1)"))
        with pytest.raises(OperationalError) as caught:
            await rows(database)
        assert is_retryable(caught.value)
        await writer.rollback()
    assert await rows(database) == []


async def test_the_data_outlive_every_connection_of_the_pool(make_database: Any) -> None:
    database = await with_table(make_database("sqlite+aiosqlite://"))
    async with database.session() as session:
        await session.execute(text("INSERT INTO t VALUES (1)"))
    engine = database.get()
    await engine.engine.dispose()
    assert await rows(database) == [1]


async def test_the_data_are_gone_after_dispose(memory: Database) -> None:
    await memory.dispose()
    async with memory.session(commit=False) as session:
        assert await session.scalar(text("SELECT count(*) FROM sqlite_master")) == 0


async def test_a_database_used_again_after_dispose_is_kept_alive_again(memory: Database) -> None:
    """As when an application is started, stopped and started again."""
    await memory.dispose()
    await with_table(memory)
    async with memory.session() as session:
        await session.execute(text("INSERT INTO t VALUES (1)"))
    await memory.get().engine.dispose()
    assert await rows(memory) == [1]


async def test_two_databases_in_memory_have_nothing_in_common(make_database: Any) -> None:
    one, other = [await with_table(make_database(url)) for url in (URLS[-1], URLS[-1])]
    async with one.session() as session:
        await session.execute(text("INSERT INTO t VALUES (1)"))
    assert await rows(one) == [1]
    assert await rows(other) == []
