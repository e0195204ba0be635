"""The pool: many sessions share it, and its exhaustion is reported."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import exc as sa_exc
from sqlalchemy import text

from hawkapi_sqlalchemy.core import Database, HawkAPISQLAlchemyError, PoolExhaustedError
from hawkapi_sqlalchemy.core.faults import Fault, fault_of, is_retryable


async def test_two_hundred_sessions_share_five_connections(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=5, max_overflow=0)
    busiest = 0

    async def use() -> int:
        nonlocal busiest
        async with database.session(commit=False) as session:
            n = await session.scalar(text("SELECT count(*) FROM counters"))
            busiest = max(busiest, database.checked_out)
            return n

    async with asyncio.timeout(60):
        assert await asyncio.gather(*(use() for _ in range(200))) == [2] * 200
    assert busiest <= 5
    assert len(database.get()._pools.main.open) <= 5
    assert database.checked_out == 0


async def test_exhaustion_is_reported_with_the_pools_name_and_state(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters)
    database.add(
        "analytics",
        type(database.get().config)(counters, pool_size=2, max_overflow=1, pool_timeout=0.1),
    )
    async with AsyncExitStack() as held:
        for _ in range(3):
            session = await held.enter_async_context(database.session("analytics", commit=False))
            await session.execute(text("SELECT 1"))
        assert database.checked_out == 3
        assert database.get("analytics").is_saturated
        with pytest.raises(PoolExhaustedError) as caught:
            async with database.session("analytics", commit=False) as session:
                await session.execute(text("SELECT 1"))
    assert not database.get("analytics").is_saturated
    error = caught.value
    assert isinstance(error, sa_exc.TimeoutError)
    assert isinstance(error, HawkAPISQLAlchemyError)
    assert (error.name, error.size, error.max_overflow) == ("analytics", 2, 1)
    assert (error.checked_out, error.timeout) == (3, 0.1)
    assert str(error) == (
        "the connection pool of database 'analytics' is exhausted: 3 connections are in use "
        "(pool_size=2, max_overflow=1) and none became free within pool_timeout=0.1 s"
    )
    assert fault_of(error) is Fault.POOL_EXHAUSTED
    assert not is_retryable(error)


async def test_a_pool_made_anew_keeps_its_name(counters: str, make_database: Any) -> None:
    """`dispose` and a lost primary replace the pool."""
    database: Database = make_database(counters, pool_size=1, max_overflow=0, pool_timeout=0.05)
    await database.dispose()
    async with database.session(commit=False) as holder:
        await holder.execute(text("SELECT 1"))
        with pytest.raises(PoolExhaustedError, match="'primary'"):
            async with database.session(commit=False) as session:
                await session.execute(text("SELECT 1"))


async def test_a_freed_connection_goes_to_the_one_that_waits(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=1, max_overflow=0, pool_timeout=10)

    async def use() -> int:
        async with database.session(commit=False) as session:
            return await session.scalar(text("SELECT 1"))

    async with asyncio.timeout(8):
        async with database.session(commit=False) as holder:
            await holder.execute(text("SELECT 1"))
            waiter = asyncio.create_task(use())
            await asyncio.sleep(0)
            assert not waiter.done()
        assert await waiter == 1


@pytest.mark.dialects("sqlite")
async def test_a_pool_without_a_bound_is_never_saturated(counters: str, make_database: Any) -> None:
    for sizes in ({"max_overflow": -1, "pool_size": 1}, {"pool_size": 0}):
        database: Database = make_database(counters, **sizes)
        async with database.session(commit=False) as one, database.session(commit=False) as two:
            await one.execute(text("SELECT 1"))
            await two.execute(text("SELECT 1"))
            assert not database.get().is_saturated
