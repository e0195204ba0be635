"""What MariaDB tells of its log and its replicas, to an account with the privilege and without."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiomysql
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from dbservers.mariadb import MariaDBServer
from dbservers.replication import Replicated
from dbservers.run import Run
from hawkapi_sqlalchemy.core.routing.positions import GtidPosition, Position
from hawkapi_sqlalchemy.core.routing.replication import (
    PrimaryView,
    ReplicaView,
)
from hawkapi_sqlalchemy.core.routing.replication.mariadb import MariaDBReplication
from wire import tapped

type LookAt = Callable[[str], Awaitable[AsyncConnection]]

pytestmark = pytest.mark.dialects("mariadb")

REPLICATION = MariaDBReplication()


async def connect(url: str, **arguments: Any) -> Any:
    parsed = make_url(url)
    return await aiomysql.connect(
        host=parsed.host,
        port=parsed.port,
        user=parsed.username,
        password=parsed.password,
        db=parsed.database,
        **arguments,
    )


async def run(connection: Any, *statements: str) -> None:
    async with connection.cursor() as cursor:
        for statement in statements:
            await cursor.execute(statement)


async def until(
    look: Callable[[], Awaitable[ReplicaView]], holds: Callable[[ReplicaView], object]
) -> ReplicaView:
    """Look until something holds of the replica."""
    async with asyncio.timeout(30):
        while not holds(view := await look()):  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.02)
    return view


@pytest.fixture
async def writer(replicated: Replicated) -> AsyncIterator[Any]:
    """A connection that commits when told to, with a table `t`."""
    connection = await connect(replicated.primary_url, autocommit=False)
    await run(connection, "CREATE TABLE t (x INTEGER)")
    yield connection
    connection.close()


@pytest.fixture
def privileged_url(replicated: Replicated) -> str:
    """The replica's URL, for an account that may ask for its threads."""
    return replicated.replica.url(replicated.database, user=replicated.replica.admin)


async def committed(writer: Any) -> Position:
    await run(writer, "INSERT INTO t VALUES (1)")
    await writer.commit()
    position = await REPLICATION.capture(writer)
    assert position is not None
    return position


async def test_a_commit_is_covered_once_the_replica_has_replayed_it(
    replicated: Replicated, writer: Any, look_at: LookAt
) -> None:
    await committed(writer)
    replica = await look_at(replicated.replica_url)
    replicated.wait_for_catch_up()
    replicated.pause_replay()
    try:
        position = await committed(writer)
        before = await REPLICATION.replayed(replica, position)
        assert not before.covers(position)
        assert before.shares_history(position)
    finally:
        replicated.resume_replay()
    async with asyncio.timeout(30):
        while not (await REPLICATION.replayed(replica, position)).covers(position):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (await replica.exec_driver_sql("SELECT count(*) FROM t")).scalar() == 2


async def test_a_capture_stands_for_the_sessions_own_last_commit(
    replicated: Replicated, writer: Any
) -> None:
    mine = await committed(writer)
    other = await connect(replicated.primary_url)
    await run(other, "CREATE TABLE other (x INTEGER)")
    later = await REPLICATION.capture(other)
    other.close()
    assert later.covers(mine)
    assert not mine.covers(later)
    assert await REPLICATION.capture(writer) == mine


async def test_a_capture_is_one_round_trip_and_begins_no_transaction(
    replicated: Replicated,
) -> None:
    async with tapped(replicated.primary_url) as wire:
        connection = await connect(wire.url, autocommit=False)
        await run(connection, "CREATE TABLE t (x INTEGER)", "INSERT INTO t VALUES (1)")
        assert connection.get_transaction_status()
        await connection.commit()
        wire.clear()
        assert await REPLICATION.capture(connection) is not None
        assert (wire.round_trips, len(wire.statements)) == (1, 1)
        assert not connection.get_transaction_status()
        # Nothing is left unread: the next question gets its own answer.
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT x FROM t")
            assert await cursor.fetchall() == ((1,),)
        connection.close()


async def test_a_capture_works_with_a_cursor_class_of_the_connections_own(
    replicated: Replicated,
) -> None:
    connection = await connect(replicated.primary_url, cursorclass=aiomysql.SSDictCursor)
    await run(connection, "CREATE TABLE t (x INTEGER)")
    assert isinstance(await REPLICATION.capture(connection), GtidPosition)
    connection.close()


async def test_a_session_that_has_not_written_has_no_position(replicated: Replicated) -> None:
    connection = await connect(replicated.primary_url)
    await run(connection, "SELECT 1")
    assert await REPLICATION.capture(connection) is None
    connection.close()


async def test_the_primary_covers_what_was_committed_and_the_replica_is_none(
    replicated: Replicated, writer: Any, look_at: LookAt
) -> None:
    position = await committed(writer)
    view = await REPLICATION.primary(await look_at(replicated.primary_url))
    assert view.is_primary
    assert view.position.covers(position)
    assert not (await REPLICATION.primary(await look_at(replicated.replica_url))).is_primary


@pytest.mark.parametrize("account", ["ordinary", "privileged"])
async def test_a_caught_up_replica_lags_by_nothing(
    account: str, replicated: Replicated, writer: Any, look_at: LookAt, privileged_url: str
) -> None:
    await committed(writer)
    primary = await look_at(replicated.primary_url)
    replica = await look_at(replicated.replica_url if account == "ordinary" else privileged_url)

    async def look() -> ReplicaView:
        return await REPLICATION.replica(replica, await REPLICATION.primary(primary))

    view = await until(look, lambda it: it.lag_seconds == 0 and it.receiving)
    assert view.lag_bytes is None
    assert view.problem is None


async def test_a_lag_without_the_primary_is_known_to_who_may_ask_for_the_threads(
    replicated: Replicated, writer: Any, look_at: LookAt, privileged_url: str
) -> None:
    await committed(writer)
    privileged = await look_at(privileged_url)
    await until(lambda: REPLICATION.replica(privileged, None), lambda it: it.lag_seconds == 0)
    ordinary = await look_at(replicated.replica_url)
    assert (await REPLICATION.replica(ordinary, None)).lag_seconds is None


@pytest.mark.parametrize("account", ["ordinary", "privileged"])
async def test_a_stopped_sql_thread_is_told(
    account: str, replicated: Replicated, writer: Any, look_at: LookAt, privileged_url: str
) -> None:
    replica = await look_at(replicated.replica_url if account == "ordinary" else privileged_url)
    replicated.pause_replay()
    await committed(writer)
    known = await REPLICATION.primary(await look_at(replicated.primary_url))
    view = await REPLICATION.replica(replica, known)
    assert view.problem == "its SQL thread is stopped"
    assert view.lag_seconds is None
    assert not view.position.covers(known.position)
    assert (await REPLICATION.replica(replica, None)).problem == view.problem


async def test_a_stopped_io_thread_is_told_to_who_may_know(
    replicated: Replicated, writer: Any, look_at: LookAt, privileged_url: str
) -> None:
    replica = await look_at(privileged_url)
    ordinary = await look_at(replicated.replica_url)
    replicated.replica.execute("STOP REPLICA IO_THREAD")
    try:
        await committed(writer)
        known = await REPLICATION.primary(await look_at(replicated.primary_url))
        view = await REPLICATION.replica(replica, known)
        assert (view.problem, view.lag_seconds) == ("its I/O thread is stopped", None)
        assert view.receiving is False
        view = await REPLICATION.replica(ordinary, known)
        assert (view.problem, view.lag_seconds, view.receiving) == (None, None, None)
        assert not view.position.covers(known.position)
    finally:
        replicated.replica.execute("START REPLICA IO_THREAD")


async def test_a_replica_on_a_way_of_its_own_is_recognised(
    replicated: Replicated, writer: Any, look_at: LookAt
) -> None:
    await committed(writer)
    replicated.wait_for_catch_up()
    replica = await look_at(replicated.replica_url)
    known = await REPLICATION.primary(await look_at(replicated.primary_url))
    other = [(domain, server + 1, 1) for domain, server, _ in known.position.last]
    view = await REPLICATION.replica(
        replica, dataclasses.replace(known, position=GtidPosition.of(other))
    )
    assert view.problem == "it follows another cluster"


async def test_a_replica_whose_primary_is_gone_can_serve_what_that_had(
    own_server: MariaDBServer, server_run: Run, stack: contextlib.ExitStack, look_at: LookAt
) -> None:
    replica_server = own_server.create_replica(server_run.template(MariaDBServer))
    stack.callback(replica_server.discard)
    own_server.create_database("r_one")
    replica_server.wait_for_position(own_server.position(), 30)
    primary = await look_at(own_server.url())
    last = await REPLICATION.primary(primary)
    await primary.close()
    replica = await look_at(replica_server.url(user=replica_server.admin))
    own_server.kill()

    async def look() -> ReplicaView:
        return await REPLICATION.replica(replica, last)

    view = await until(look, lambda it: not it.receiving)
    assert (view.problem, view.lag_seconds) == (None, 0)
    replica_server.execute("STOP REPLICA")
    replica_server.execute("RESET REPLICA ALL")
    assert (await look()).problem == "it follows no server: its role has changed"


async def test_a_server_without_a_binary_log_has_no_position(
    own_server: MariaDBServer, look_at: LookAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [each for each in own_server.command() if each != "--log-bin=binlog"]
    monkeypatch.setattr(type(own_server), "command", lambda _: command)
    own_server.restart()
    view = await REPLICATION.primary(await look_at(own_server.url()))
    assert view == PrimaryView(None, is_primary=True, identity=None)
    writer = await connect(own_server.url())
    await run(writer, "CREATE TABLE t (x INTEGER)")
    assert await REPLICATION.capture(writer) is None
    writer.close()
