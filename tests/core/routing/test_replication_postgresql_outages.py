"""What PostgreSQL's standbys tell when their primary is gone, or has been replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from dbservers.postgresql import PostgreSQLServer
from dbservers.replication import PostgreSQLPair
from hawkapi_sqlalchemy.core.routing.replication import (
    ReplicaView,
)
from hawkapi_sqlalchemy.core.routing.replication.postgresql import PostgreSQLReplication
from wal import connect, until

type LookAt = Callable[[str], Awaitable[AsyncConnection]]

pytestmark = pytest.mark.dialects("postgresql")

REPLICATION = PostgreSQLReplication()


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
