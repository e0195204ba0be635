"""What PostgreSQL tells of its log and its standbys, an ordinary account asking."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from dbservers.postgresql import PostgreSQLServer
from dbservers.replication import PostgreSQLPair, Replicated
from hawkapi_sqlalchemy.core.routing.positions import WalPosition
from hawkapi_sqlalchemy.core.routing.replication import (
    PrimaryView,
    ReplicaView,
)
from hawkapi_sqlalchemy.core.routing.replication import postgresql as module
from hawkapi_sqlalchemy.core.routing.replication.postgresql import PostgreSQLReplication, record_end
from wire import tapped

type LookAt = Callable[[str], Awaitable[AsyncConnection]]

pytestmark = pytest.mark.dialects("postgresql")

REPLICATION = PostgreSQLReplication()
SEGMENT, PAGE = 4 * 1024**2, 8192
PAGE_HEADER, LONG_PAGE_HEADER = 24, 40
MESSAGE = 60


async def connect(url: str, **arguments: Any) -> Any:
    parsed = make_url(url)
    return await asyncpg.connect(
        host=parsed.host,
        port=parsed.port,
        user=parsed.username,
        password=parsed.password,
        database=parsed.database,
        ssl=False,
        **arguments,
    )


async def until(
    look: Callable[[], Awaitable[ReplicaView]], holds: Callable[[ReplicaView], object]
) -> ReplicaView:
    """Look until something holds of the replica."""
    async with asyncio.timeout(30):
        while not holds(view := await look()):  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.02)
    return view


async def written_to(connection: Any) -> int:
    return int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'"))


async def fill_page(connection: Any) -> None:
    """Write records until one ends just where a page does."""
    for _ in range(PAGE):
        # The smallest step that a record's length makes is one of alignment.
        left = PAGE - await written_to(connection) % PAGE
        wanted = left - MESSAGE if left > MESSAGE + 8 else 2 * MESSAGE
        await connection.execute(
            f"SELECT pg_logical_emit_message(false, '', repeat('x', {wanted}))"
        )
        if await written_to(connection) % PAGE == PAGE_HEADER:
            return
    pytest.fail("no record ended with a page")


async def fill_file(connection: Any) -> None:
    """Have the log go on in the next file."""
    await connection.execute("SELECT pg_switch_wal()")
    assert await written_to(connection) % SEGMENT == LONG_PAGE_HEADER


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


@pytest.mark.parametrize("fill", [fill_page, fill_file])
async def test_an_idle_standby_covers_a_position_at_the_beginning_of_a_page_or_a_file(
    fill: Callable[[Any], Awaitable[None]],
    own_postgres_pair: PostgreSQLPair,
    look_at: LookAt,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = own_postgres_pair
    primary = await connect(pair.primary.url(user=pair.primary.admin))
    replica = await look_at(pair.replica_url)
    for _ in range(5):
        await fill(primary)
        position = await REPLICATION.capture(primary)
        view = PrimaryView(position, is_primary=True, identity=None)

        async def look(view: PrimaryView = view) -> ReplicaView:
            return await REPLICATION.replica(replica, view)

        seen = await until(look, lambda it: not it.lag_bytes)
        with monkeypatch.context() as patch:
            patch.setattr(module, "record_end", lambda lsn, **_: lsn)
            beyond_header = await REPLICATION.capture(primary)
        replayed = await REPLICATION.replayed(replica, position)
        if beyond_header.lsn - position.lsn in (PAGE_HEADER, LONG_PAGE_HEADER):
            break
        # The server has written a record of its own in between.
    else:
        pytest.fail("the primary is never idle")
    assert seen.position.covers(position)
    assert (seen.lag_bytes, seen.lag_seconds) == (0, 0)
    assert replayed.covers(position)
    assert not replayed.covers(beyond_header)
    await primary.close()


@given(st.integers(1, 2**20), st.sampled_from([2**20, 2**22, 2**24]))
def test_a_record_that_fills_a_page_ends_with_it(page: int, segment: int) -> None:
    end = page * PAGE
    header = PAGE_HEADER if end % segment else LONG_PAGE_HEADER
    assert record_end(end + header, segment_size=segment, page_size=PAGE) == end


@given(st.integers(1, 2**20), st.integers(41, PAGE))
def test_any_other_record_ends_where_the_next_begins(page: int, offset: int) -> None:
    lsn = page * PAGE + offset
    assert record_end(lsn, segment_size=SEGMENT, page_size=PAGE) == lsn


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


async def test_a_standby_without_its_primary_is_compared_with_what_that_had(
    own_postgres_pair: PostgreSQLPair, look_at: LookAt
) -> None:
    pair = own_postgres_pair
    primary = await look_at(pair.primary_url)
    replica = await look_at(pair.replica_url)
    await primary.exec_driver_sql("CREATE TABLE t (x integer)")
    last = await REPLICATION.primary(primary)

    async def look() -> ReplicaView:
        return await REPLICATION.replica(replica, last)

    await until(look, lambda it: it.lag_bytes == 0)
    await primary.close()
    pair.primary.kill()
    view = await until(look, lambda it: not it.receiving)
    assert (view.lag_bytes, view.lag_seconds, view.problem) == (0, 0, None)


def follow(standby: PostgreSQLServer, old: PostgreSQLServer, new: PostgreSQLServer) -> None:
    """Have a standby follow another server."""
    ((source,),) = standby.execute("SHOW primary_conninfo")
    source = source.replace(f"port={old.port}", f"port={new.port}").replace("'", "''")
    standby.execute(f"ALTER SYSTEM SET primary_conninfo = '{source}'")
    standby.execute("ALTER SYSTEM SET primary_slot_name = ''")
    standby.execute("SELECT pg_reload_conf()")


async def test_a_promotion_begins_a_timeline_of_which_only_its_followers_cover_anything(
    own_postgres_pair: PostgreSQLPair, stack: contextlib.ExitStack, look_at: LookAt
) -> None:
    """One standby follows the new primary, one the old primary, which goes on."""
    pair = own_postgres_pair
    follower, left_behind = pair.primary.create_standby(), pair.primary.create_standby()
    stack.callback(follower.discard)
    stack.callback(left_behind.discard)
    pair.primary.execute("CREATE TABLE before (x integer)", pair.database)
    old = await REPLICATION.primary(await look_at(pair.primary_url))
    for standby in (pair.standby, follower, left_behind):
        standby.wait_for_position(pair.primary.position(), 30)
    pair.promote()
    follow(follower, pair.primary, pair.standby)

    new_primary = await connect(pair.standby_url)
    await new_primary.execute("CREATE TABLE after (x integer)")
    written = await REPLICATION.capture(new_primary)
    await new_primary.close()
    new = await REPLICATION.primary(await look_at(pair.standby_url))
    assert (old.position.timeline, written.timeline, new.position.timeline) == (1, 2, 2)
    assert new.identity == old.identity
    assert not new.position.covers(old.position)
    # The old primary gets further than the new one.
    for number in range(20):
        pair.primary.execute(f"CREATE TABLE other_{number} (x integer)", pair.database)
    left_behind.wait_for_position(pair.primary.position(), 30)
    follower.wait_for_position(pair.standby.position(), 30)

    behind, follows = [await look_at(each.url()) for each in (left_behind, follower)]
    view = await REPLICATION.replica(behind, new)
    assert view.position.lsn > new.position.lsn
    assert view.position.timeline == 1
    assert (view.lag_bytes, view.lag_seconds) == (None, None)
    assert not view.position.covers(written)
    # Who may not ask which timeline it follows has the same position at least.
    promoted = await look_at(pair.standby_url)

    async def look() -> ReplicaView:
        return await REPLICATION.replica(follows, await REPLICATION.primary(promoted))

    view = await until(look, lambda it: it.lag_bytes == 0)
    assert view.position.timeline == 1
    assert (view.lag_seconds, view.problem) == (0, None)
    assert not view.position.covers(written)

    for server in (pair.standby, pair.primary):
        server.execute("GRANT pg_read_all_stats TO hawk")
    left_behind.wait_for_position(pair.primary.position(), 30)
    view = await REPLICATION.replica(behind, new)
    assert view.problem == "it follows timeline 1, the primary is on 2"
    assert not view.position.covers(written)
    view = await until(look, lambda it: it.position.covers(written))
    assert view.problem is None


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
