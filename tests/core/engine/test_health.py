"""Health: the truth about each database, within a time limit that holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import make_url, text

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseConfig,
    UnknownDatabaseError,
    UnknownDatabaseWarning,
    all_healthy,
    database_healthy,
    session_healthy,
)
from hawkapi_sqlalchemy.core.ending import end_session

NOWHERE = "postgresql+asyncpg://user@127.0.0.1:1/app"
MEMORY = "sqlite+aiosqlite://"
SLACK = 3.0


async def timed[T](answer: Awaitable[T]) -> tuple[T, float]:
    begin = time.monotonic()
    return await answer, time.monotonic() - begin


@asynccontextmanager
async def paused(*servers: DatabaseServer) -> AsyncIterator[None]:
    """Stop servers in their tracks: connections stay open, nobody answers."""
    for server in servers:
        await asyncio.to_thread(server.pause)
    try:
        yield
    finally:
        for server in servers:
            await asyncio.to_thread(server.resume)


async def test_databases_that_answer_are_healthy(database_url: str, make_database: Any) -> None:
    database: Database = make_database(database_url)
    database.add("replica", DatabaseConfig(database_url))
    assert await all_healthy(database) == {"primary": True, "replica": True}
    assert await database_healthy(database) is True
    assert await database_healthy(database, "replica") is True
    assert await database_healthy(database.get("replica")) is True
    async with database.session(commit=False) as session:
        assert await session_healthy(session) is True
    assert database.checked_out == 0
    await database.dispose()


async def test_one_that_cannot_be_reached_is_told_from_the_others(make_database: Any) -> None:
    database: Database = make_database(MEMORY)
    database.add("analytics", DatabaseConfig(NOWHERE))
    assert await all_healthy(database) == {"primary": True, "analytics": False}
    assert await database_healthy(database, "analytics") is False
    async with database.session("analytics", commit=False) as session:
        assert await session_healthy(session) is False


async def test_a_password_that_cannot_be_had_is_ill_health_and_no_exception(
    make_database: Any,
) -> None:
    def vault() -> str:
        raise KeyError("sealed")

    database: Database = make_database("postgresql+asyncpg://user@127.0.0.1/app", password=vault)
    assert await all_healthy(database) == {"primary": False}


async def test_a_name_that_is_not_registered_is_asked_of_the_primary(make_database: Any) -> None:
    database: Database = make_database(MEMORY)
    with pytest.warns(UnknownDatabaseWarning):
        assert await database_healthy(database, "shard:7") is True
    with pytest.raises(UnknownDatabaseError):
        await database_healthy(Database())
    assert await all_healthy(Database()) == {}


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_stopped_server_is_ill_and_well_again_after_its_return(
    own_server: DatabaseServer, make_database: Any
) -> None:
    database: Database = make_database(own_server.url())
    assert await all_healthy(database) == {"primary": True}
    await asyncio.to_thread(own_server.stop)
    assert await all_healthy(database) == {"primary": False}
    await asyncio.to_thread(own_server.start)
    assert await all_healthy(database, timeout=10) == {"primary": True}


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_hanging_server_is_ill_after_the_time_limit_and_not_later(
    own_server: DatabaseServer, make_database: Any
) -> None:
    """On a pooled connection, on a new one, and in a session."""
    pooled: Database = make_database(own_server.url())
    fresh: Database = make_database(own_server.url())
    assert await all_healthy(pooled) == {"primary": True}
    session = pooled.open()
    await session.execute(text("SELECT 1"))
    async with paused(own_server):
        for probe in (
            database_healthy(pooled, timeout=0.2),
            database_healthy(fresh, timeout=0.2),
            session_healthy(session, timeout=0.2),
        ):
            answer, elapsed = await timed(probe)
            assert answer is False
            assert 0.15 <= elapsed < 0.2 + SLACK
    await end_session(session)
    assert await database_healthy(pooled, timeout=10) is True


@pytest.mark.dialects("postgresql", "mariadb")
async def test_hanging_servers_are_asked_all_at_once(
    own_server: DatabaseServer, make_database: Any
) -> None:
    limit = 1.0
    database: Database = make_database(MEMORY)
    for number in range(8):
        database.add(f"shard:{number}", DatabaseConfig(own_server.url()))
    async with paused(own_server):
        answer, elapsed = await timed(all_healthy(database, timeout=limit))
    assert answer == {"primary": True, **{f"shard:{number}": False for number in range(8)}}
    assert elapsed < limit + SLACK
    await database.dispose()


async def test_an_exhausted_pool_is_busy_and_not_ill(database_url: str, make_database: Any) -> None:
    database: Database = make_database(
        database_url,
        pool_size=1,
        max_overflow=0,
        engine_kwargs={"pool_use_lifo": True, "pool_reset_on_return": "rollback"},
    )
    async with database.session(commit=False) as session:
        await session.execute(text("SELECT 1"))
        assert database.get().is_saturated
        assert await all_healthy(database) == {"primary": True}
        assert await session_healthy(session) is True
    assert database.checked_out == 0


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_probe_past_the_pool_leaves_no_connection_behind(
    database_url: str, database_server: DatabaseServer, make_database: Any
) -> None:
    database: Database = make_database(database_url, pool_size=1, max_overflow=0)
    async with database.session(commit=False) as session:
        await session.execute(text("SELECT 1"))
        for _ in range(3):
            assert await database_healthy(database) is True
        assert database_server.count_connections(str(make_url(database_url).database)) <= 2


async def test_a_cancelled_question_leaves_no_connection_checked_out(
    database_url: str, make_database: Any
) -> None:
    database: Database = make_database(database_url)
    for steps in range(0, 20, 3):
        asking = asyncio.create_task(all_healthy(database))
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
    async with asyncio.timeout(10):
        while database.checked_out:  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)
    assert await all_healthy(database) == {"primary": True}
