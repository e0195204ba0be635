"""What PostgreSQL tells of its log and its standbys, an ordinary account asking."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from dbservers.replication import PostgreSQLPair, Replicated
from hawkapi_sqlalchemy.core.routing.positions import WalPosition
from hawkapi_sqlalchemy.core.routing.replication import (
    ReplicaView,
)
from hawkapi_sqlalchemy.core.routing.replication.postgresql import PostgreSQLReplication
from wal import connect, until
from wire import tapped

type LookAt = Callable[[str], Awaitable[AsyncConnection]]

pytestmark = pytest.mark.dialects("postgresql")

REPLICATION = PostgreSQLReplication()


async def test_a_commit_is_covered_once_the_standby_has_replayed_it(
    replicated: Replicated, look_at: LookAt
) -> None:
    primary = await connect(replicated.primary_url)
    replica = await look_at(replicated.replica_url)
    known = (await REPLICATION.replica(replica, None)).position
    replicated.pause_replay()
    try:
        await primary.execute("CREATE TABLE t (x integer)")
        position = await REPLICATION.capture(primary)
        before = await REPLICATION.replayed(replica, known)
        assert not before.covers(position)
        assert before.shares_history(position)
    finally:
        replicated.resume_replay()
    async with asyncio.timeout(30):
        while not (await REPLICATION.replayed(replica, known)).covers(position):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await replica.exec_driver_sql("SELECT count(*) FROM t")).scalar() == 0
    await primary.close()


async def test_a_commit_that_is_not_flushed_yet_is_part_of_the_captured_position(
    replicated: Replicated,
) -> None:
    primary = await connect(replicated.primary_url)
    await primary.execute("SET synchronous_commit = off")
    await primary.execute("CREATE TABLE t (x integer)")
    for _ in range(20):
        await primary.execute("INSERT INTO t VALUES (1)")
        position = await REPLICATION.capture(primary)
        flushed = await primary.fetchval("SELECT pg_current_wal_flush_lsn() - '0/0'")
        if position.lsn > flushed:
            break
    else:
        pytest.fail("every commit was flushed before it could be looked at")
    await primary.close()


async def test_a_capture_is_one_round_trip_and_leaves_no_transaction(
    replicated: Replicated,
) -> None:
    async with tapped(replicated.primary_url) as wire:
        connection = await connect(wire.url)
        await REPLICATION.capture(connection)
        wire.clear()
        assert await REPLICATION.capture(connection) is not None
        assert (wire.round_trips, len(wire.statements)) == (1, 1)
        assert not connection.is_in_transaction()
        await connection.close()


async def test_captures_work_behind_pgbouncer(pgbouncer_url: str) -> None:
    clients = [await connect(pgbouncer_url, statement_cache_size=0) for _ in range(8)]
    try:
        async with asyncio.timeout(30):
            for _ in range(5):
                found = await asyncio.gather(*(REPLICATION.capture(each) for each in clients))
                assert all(isinstance(each, WalPosition) for each in found)
    finally:
        for client in clients:
            await client.close()


async def test_an_ordinary_account_sees_that_a_caught_up_standby_lags_by_nothing(
    replicated: Replicated, look_at: LookAt
) -> None:
    """The last commit may be an hour ago: its age is no lag."""
    primary = await look_at(replicated.primary_url)
    replica = await look_at(replicated.replica_url)
    ordinary = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    assert (await primary.exec_driver_sql(ordinary)).scalar() is False
    await primary.exec_driver_sql("CREATE TABLE t (x integer)")

    async def look() -> ReplicaView:
        return await REPLICATION.replica(replica, await REPLICATION.primary(primary))

    view = await until(look, lambda it: it.lag_bytes == 0)
    assert view.lag_seconds == 0
    assert view.problem is None
    assert view.receiving
    alone = await REPLICATION.replica(replica, None)
    assert alone.lag_bytes is None
    assert alone.lag_seconds > 0


async def test_a_paused_standby_falls_behind_and_says_so(
    replicated: Replicated, look_at: LookAt
) -> None:
    primary = await look_at(replicated.primary_url)
    replica = await look_at(replicated.replica_url)
    replicated.pause_replay()
    await primary.exec_driver_sql("CREATE TABLE t (x integer)")
    known = await REPLICATION.primary(primary)
    view = await REPLICATION.replica(replica, known)
    assert view.problem == "its replay is paused"
    assert view.lag_bytes == known.position.lsn - view.position.lsn > 0
    assert view.lag_seconds > 0


async def test_a_standby_of_another_cluster_is_recognised(
    replicated: Replicated, look_at: LookAt
) -> None:
    ours = await REPLICATION.primary(await look_at(replicated.primary_url))
    assert ours.identity is not None
    replica = await look_at(replicated.replica_url)
    view = await REPLICATION.replica(replica, ours)
    assert (view.identity, view.problem) == (ours.identity, None)
    # All servers of these tests are copies of one, identity included.
    other = dataclasses.replace(ours, identity="6000000000000000000")
    view = await REPLICATION.replica(replica, other)
    assert view.problem == "it follows another cluster"
    assert view.lag_bytes is None


async def test_a_standby_is_no_primary_and_a_primary_no_standby(
    replicated: Replicated, look_at: LookAt
) -> None:
    standby = await connect(replicated.replica_url)
    assert await REPLICATION.capture(standby) is None
    await standby.close()
    view = await REPLICATION.primary(await look_at(replicated.replica_url))
    assert (view.position, view.is_primary) == (None, False)
    view = await REPLICATION.replica(await look_at(replicated.primary_url), None)
    assert view.problem == "it is not in recovery: its role has changed"
    assert view.position is None


async def test_a_server_that_keeps_its_control_file_to_itself_can_still_be_asked(
    own_postgres_pair: PostgreSQLPair, look_at: LookAt
) -> None:
    pair = own_postgres_pair
    for name in ("system", "checkpoint", "recovery"):
        revoke = f"REVOKE EXECUTE ON FUNCTION pg_control_{name}() FROM PUBLIC"
        pair.primary.execute(revoke, pair.database)
    pair.wait_for_catch_up()
    view = await REPLICATION.primary(await look_at(pair.primary_url))
    assert view.is_primary
    assert view.identity is None
    replica = await look_at(pair.replica_url)
    assert (await REPLICATION.replica(replica, view)).position is None
    pair.primary.execute("GRANT pg_read_all_stats TO hawk")
    seen = await until(
        lambda: REPLICATION.replica(replica, view),
        lambda it: it.position is not None and it.position.covers(view.position),
    )
    assert seen.lag_bytes == 0
