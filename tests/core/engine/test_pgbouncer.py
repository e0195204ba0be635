"""PgBouncer in transaction mode: every transaction may run on another server connection."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url, text

from dbservers.pgbouncer import POOL_SIZE
from hawkapi_sqlalchemy.core import Database, ReadOnlyError

PREPARED = text("SELECT count(*) FROM pg_prepared_statements")


@pytest.fixture
async def bounced(pgbouncer_url: str, make_database: Any) -> Database:
    """More client connections than PgBouncer has to the server."""
    database: Database = make_database(
        pgbouncer_url,
        pgbouncer=True,
        pool_size=4 * POOL_SIZE,
        statement_timeout=3,
        lock_timeout=2,
        idle_in_transaction_timeout=20,
    )
    async with database.session() as session:
        await session.execute(text("CREATE TABLE t (x INTEGER, who INTEGER)"))
    return database


async def test_many_sessions_repeat_their_statements_on_changing_connections(
    bounced: Database,
) -> None:
    processes: set[int] = set()

    async def work(who: int) -> None:
        for x in range(6):
            async with bounced.session() as session:
                values = {"x": x, "who": who}
                await session.execute(text("INSERT INTO t VALUES (:x, :who)"), values)
                mine = text("SELECT count(*) FROM t WHERE who = :who")
                assert await session.scalar(mine, {"who": who}) == x + 1
                processes.add(await session.scalar(text("SELECT pg_backend_pid()")))

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(who) for who in range(4 * POOL_SIZE)))
    assert len(processes) > 1
    async with bounced.session(commit=False) as session:
        assert await session.scalar(text("SELECT count(*) FROM t")) == 24 * POOL_SIZE


async def test_no_prepared_statement_stays_on_a_server_connection(bounced: Database) -> None:
    barrier = asyncio.Barrier(POOL_SIZE)

    async def count() -> int:
        async with bounced.session(commit=False) as session:
            for number in range(5):
                await session.execute(text(f"SELECT {number}, :x"), {"x": "x"})
            left = await session.scalar(PREPARED)
            await barrier.wait()
            return left

    async with asyncio.timeout(30):
        assert await asyncio.gather(*(count() for _ in range(POOL_SIZE))) == [0] * POOL_SIZE


async def test_time_limits_hold_in_the_transaction_and_reach_no_other_client(
    bounced: Database, pgbouncer_url: str
) -> None:
    shown = text(
        "SELECT concat_ws(' ', current_setting('statement_timeout'),"
        " current_setting('lock_timeout'),"
        " current_setting('idle_in_transaction_session_timeout'))"
    )
    for commit in (True, False):
        async with bounced.session(commit=commit) as session:
            assert await session.scalar(shown) == "3s 2s 20s"
            await session.commit()
            assert await session.scalar(shown) == "3s 2s 20s"

    plain = make_url(pgbouncer_url).set(drivername="postgresql")
    strangers = [
        await asyncpg.connect(plain.render_as_string(hide_password=False), statement_cache_size=0)
        for _ in range(POOL_SIZE)
    ]
    try:
        for stranger in strangers:
            await stranger.execute("BEGIN")
        seen = {await stranger.fetchval(shown.text) for stranger in strangers}
    finally:
        for stranger in strangers:
            await stranger.close()
    assert seen == {"0 0 0"}


async def test_read_only_sessions_are_refused_their_writes_and_later_ones_are_not(
    bounced: Database,
) -> None:
    for _ in range(POOL_SIZE + 1):
        with pytest.raises(ReadOnlyError):
            async with bounced.session("replica", commit=False) as session:
                await session.execute(text("INSERT INTO t VALUES (1, 1)"))
        async with bounced.session() as session:
            await session.execute(text("INSERT INTO t VALUES (1, 1)"))


async def test_the_servers_capacity_is_not_asked_through_a_pooler(bounced: Database) -> None:
    assert await bounced.get().max_connections() is None
