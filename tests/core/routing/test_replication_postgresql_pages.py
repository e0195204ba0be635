"""Positions where a page or a file of PostgreSQL's log begins: a header comes first there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from dbservers.replication import PostgreSQLPair
from hawkapi_sqlalchemy.core.routing.replication import (
    PrimaryView,
    ReplicaView,
)
from hawkapi_sqlalchemy.core.routing.replication import postgresql as module
from hawkapi_sqlalchemy.core.routing.replication.postgresql import PostgreSQLReplication, record_end
from wal import connect, until

type LookAt = Callable[[str], Awaitable[AsyncConnection]]

pytestmark = pytest.mark.dialects("postgresql")

REPLICATION = PostgreSQLReplication()
SEGMENT, PAGE = 4 * 1024**2, 8192
PAGE_HEADER, LONG_PAGE_HEADER = 24, 40
MESSAGE = 60


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
