"""Which pool read-only sessions use, and that it counts like the other."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.core import Database, DatabaseConfig, ReadOnlyError
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.ending import end_session
from hawkapi_sqlalchemy.core.pool import DatabasePool

COUNT = text("SELECT n FROM counters WHERE id = 1")
INCREMENT = text("UPDATE counters SET n = n + 1 WHERE id = 1")


def reading(database: Database) -> AsyncSession:
    return database.open(access=Access.READ)


async def creator(*_: Any, **__: Any) -> Any:
    raise AssertionError("nothing is opened here")


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"autocommit_reads": False}, id="autocommit_reads"),
        pytest.param({"pgbouncer": True}, id="pgbouncer"),
        pytest.param({"engine_kwargs": {"isolation_level": "SERIALIZABLE"}}, id="isolation_level"),
        pytest.param({"engine_kwargs": {"execution_options": {"mine": 1}}}, id="options"),
        pytest.param({"engine_kwargs": {"async_creator": creator}}, id="async_creator"),
        pytest.param({"connect_args": {"async_creator_fn": creator}}, id="async_creator_fn"),
        pytest.param({}, id="pool"),
    ],
)
async def test_where_the_application_has_decided_otherwise_reads_use_the_ordinary_pool(
    fields: dict[str, Any], counters: str
) -> None:
    if not fields:
        given = create_async_engine(counters, poolclass=NullPool)
        fields = {"engine_kwargs": {"pool": given.pool}}
    engine = Database().add("primary", DatabaseConfig(counters, **fields))
    assert engine.read_engine is engine.engine
    assert engine._pools.reading is None
    assert engine.pools == 1
    await engine.dispose()


@pytest.mark.dialects("postgresql")
async def test_without_a_pool_of_their_own_reads_are_refused_their_writes_all_the_same(
    counters: str, make_database: Any, ask: Any
) -> None:
    database: Database = make_database(counters, pgbouncer=True, pool_size=1, max_overflow=0)
    session = reading(database)
    assert await session.scalar(text("SHOW transaction_read_only")) == "on"
    async with session.begin_nested():
        await session.execute(COUNT)
    with pytest.raises(ReadOnlyError):
        await session.execute(INCREMENT)
    await end_session(session)
    async with database.session() as session:
        await session.execute(INCREMENT)
    assert await ask(str(COUNT)) == 1


async def test_the_two_pools_are_counted_drained_and_disposed_together(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters)
    engine = database.get()
    assert engine.pools == 1
    session, writer = reading(database), database.open(access=Access.MANUAL)
    assert engine.pools == 2
    pools = [engine.engine.pool, engine.read_engine.pool]
    assert all(isinstance(pool, DatabasePool) for pool in pools)
    assert pools[0] is not pools[1]
    await session.execute(COUNT)
    assert (engine.open_connections, engine.checked_out, database.checked_out) == (1, 1, 1)
    await writer.execute(COUNT)
    assert (engine.open_connections, engine.checked_out, database.checked_out) == (2, 2, 2)
    await end_session(writer)
    assert not await database.drain(0.01), "a reader in use was not waited for"
    await end_session(session)
    assert await database.drain()
    assert (engine.open_connections, engine.checked_out) == (0, 0)
    assert pools[0]._disposed
    assert pools[1]._disposed


async def test_the_pool_of_the_reads_has_the_same_limits_and_is_waited_for_by_itself(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=1, max_overflow=1, pool_timeout=5.0)
    engine = database.get()
    reader: Any = engine.read_engine.pool
    assert (reader.size(), reader.max_overflow, reader.timeout()) == (1, 1, 5.0)
    writers = [database.open(access=Access.MANUAL) for _ in range(2)]
    for each in writers:
        await each.execute(COUNT)
    assert engine.is_saturated
    session = reading(database)
    assert await session.scalar(COUNT) == 0
    for each in (session, *writers):
        await end_session(each)


async def test_snapshots_of_a_replica_count_as_a_second_pool(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters)
    replica = database.add("replica", DatabaseConfig(counters))
    replica.prepare(Access.READ)
    assert replica.pools == 1
    replica.prepare(Access.SNAPSHOT)
    assert replica.pools == 2
