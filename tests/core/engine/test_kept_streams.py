"""A stream that was not read to its end, and that somebody still holds when its session ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import insert, text

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.ending import end_session
from schema import Entry

ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0}
IDS = text("SELECT id FROM entries")
COUNT = text("SELECT count(*) FROM entries")
ROWS = 500


@pytest.fixture
async def database(database_url: str, make_database: Any) -> AsyncIterator[Database]:
    """One connection for each kind of session, and more rows than a driver fetches at once."""
    found: Database = make_database(database_url, **ONE_CONNECTION, ping_after_idle=600.0)
    async with found.session() as session:
        connection = await session.connection()
        await connection.run_sync(Entry.metadata.create_all, tables=[Entry.__table__])
        await session.execute(insert(Entry), [{"tag": f"{number}"} for number in range(ROWS)])
    yield found
    await found.dispose()


@pytest.mark.dialects("sqlite", "mariadb")
async def test_the_next_reader_sees_what_was_committed_meanwhile(database: Database) -> None:
    session = database.open(access=Access.READ)
    kept = await session.stream(IDS)
    assert await kept.fetchone() is not None
    first = (await (await session.connection()).get_raw_connection()).driver_connection
    await end_session(session)
    async with database.session() as writing:
        writing.add(Entry(tag="one more"))
    session = database.open(access=Access.READ)
    assert await session.scalar(COUNT) == ROWS + 1
    # MariaDB's would wait for the rest of the answer first, without limit if it is still computed.
    second = (await (await session.connection()).get_raw_connection()).driver_connection
    assert second is not first
    await end_session(session)
    assert kept is not None


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("access", [Access.WRITE, Access.MANUAL])
async def test_the_next_writer_is_not_held_to_an_old_state(
    access: Access, database: Database, make_database: Any, database_url: str
) -> None:
    session = database.open(access=access)
    kept = await session.stream(IDS)
    assert await kept.fetchone() is not None
    await end_session(session)
    other: Database = make_database(database_url, lock_timeout=1.0)
    async with other.session() as writing:
        writing.add(Entry(tag="one more"))
    await other.dispose()
    async with database.session() as writing:
        assert await writing.scalar(COUNT) == ROWS + 1
        writing.add(Entry(tag="and one"))
    assert kept is not None


@pytest.mark.dialects("sqlite")
async def test_a_stream_that_was_read_or_closed_costs_no_connection(database: Database) -> None:
    async with database.session(commit=False) as session:
        first = await (await session.connection()).get_raw_connection()
        for read_to_its_end in (True, False):
            kept = await session.stream(IDS)
            if read_to_its_end:
                assert len(await kept.all()) == ROWS
            else:
                assert await kept.fetchone() is not None
                await kept.close()
        driver = first.driver_connection
    async with database.session(commit=False) as session:
        second = await (await session.connection()).get_raw_connection()
        assert second.driver_connection is driver
