"""What PostgreSQL tells of its log and its standbys, an ordinary account asking."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from dbservers.postgresql import PostgreSQLServer
from dbservers.replication import PostgreSQLPair, Replicated
from hawkapi_sqlalchemy.core.routing.positions import WalPosition
from hawkapi_sqlalchemy.core.routing.replication import (
    PrimaryView,
    ReplicaView,
    replication_for,
)
from hawkapi_sqlalchemy.core.routing.replication import postgresql as module
from hawkapi_sqlalchemy.core.routing.replication.postgresql import record_end
from wire import tapped

type LookAt = Callable[[str], Awaitable[AsyncConnection]]

pytestmark = pytest.mark.dialects("postgresql")

REPLICATION = replication_for("postgresql")
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
        seen = await until(lambda: REPLICATION.replica(replica, view), lambda it: not it.lag_bytes)
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
