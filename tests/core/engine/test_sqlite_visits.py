"""SQLite: how often the connection's thread is visited, and what is put together in one visit."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import column, insert, select, table, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.ending import end_session

pytestmark = [pytest.mark.dialects("sqlite")]

COUNTERS = table("counters", column("id"), column("n"))
COUNT = text("SELECT n FROM counters WHERE id = 1")
INCREMENT = text("UPDATE counters SET n = n + 1 WHERE id = 1")
NUMBERS = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 10000) "


class Visits:
    """The way to a connection's thread, with a counter."""

    def __init__(self, driver: Any) -> None:
        self._way = driver._tx
        self.number = 0
        driver._tx = self

    def put_nowait(self, item: Any) -> None:
        self.number += 1
        self._way.put_nowait(item)


@pytest.fixture
def database(counters: str, make_database: Any) -> Database:
    return make_database(counters, pool_size=1, max_overflow=0)


@pytest.fixture
async def driver(database: Database) -> Any:
    """The only connection, opened."""
    async with database.session(commit=False) as session:
        await session.execute(COUNT)
    [driver] = database.get()._pools.main.open.values()
    return driver


@pytest.fixture
def visits(driver: Any) -> Visits:
    return Visits(driver)


async def nothing(session: AsyncSession) -> None:
    await session.connection()


async def one_row(session: AsyncSession) -> None:
    assert await session.scalar(COUNT) == 0


async def no_row(session: AsyncSession) -> None:
    assert (await session.scalars(text("SELECT n FROM counters WHERE id = 77"))).all() == []


async def many_rows(session: AsyncSession) -> None:
    assert len((await session.execute(text(NUMBERS + "SELECT x FROM n"))).all()) == 10_000


async def two_statements(session: AsyncSession) -> None:
    await one_row(session)
    await session.execute(INCREMENT)


async def inserted(session: AsyncSession) -> None:
    await session.execute(insert(COUNTERS), {"id": 3, "n": 0})


async def inserted_and_returned(session: AsyncSession) -> None:
    rows = await session.execute(insert(COUNTERS).returning(COUNTERS.c.id), [{"id": 3}, {"id": 4}])
    assert rows.scalars().all() == [3, 4]


async def many_parameters(session: AsyncSession) -> None:
    added = await session.execute(
        text("INSERT INTO counters VALUES (:id, 0)"), [{"id": n} for n in range(3, 300)]
    )
    assert added.rowcount == 297


async def in_a_savepoint(session: AsyncSession) -> None:
    async with session.begin_nested():
        await session.execute(INCREMENT)


async def refused(session: AsyncSession) -> None:
    with pytest.raises(IntegrityError):
        await session.execute(text("INSERT INTO counters VALUES (1, 0)"))
    await session.rollback()


@pytest.mark.parametrize("access", [Access.WRITE, Access.MANUAL])
@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (nothing, 0),
        (one_row, 1),
        (no_row, 1),
        (many_rows, 1),
        (two_statements, 2),
        (inserted, 1),
        (inserted_and_returned, 1),
        (many_parameters, 1),
        (in_a_savepoint, 3),
        (refused, 1),
    ],
)
async def test_a_statement_is_one_visit_and_the_end_of_a_transaction_another(
    work: Callable[[AsyncSession], Awaitable[None]],
    expected: int,
    access: Access,
    database: Database,
    visits: Visits,
) -> None:
    """BEGIN goes with the first statement; where nothing was run there is nothing to end."""
    session = database.open(access=access)
    await work(session)
    await session.commit()
    await end_session(session)
    assert visits.number == (expected + 1 if expected else 0)


@pytest.mark.parametrize("access", [Access.WRITE, Access.MANUAL])
async def test_a_transaction_that_did_nothing_can_be_rolled_back_without_a_visit(
    access: Access, database: Database, driver: Any, visits: Visits
) -> None:
    session = database.open(access=access)
    for _ in range(2):
        await nothing(session)
        assert driver.in_transaction
        await session.rollback()
        assert not driver.in_transaction
    await nothing(session)
    await end_session(session)
    assert not driver.in_transaction
    assert visits.number == 0


@pytest.mark.parametrize("size", [1, 10])
async def test_a_stream_computes_its_rows_as_they_are_asked_for(
    size: int, database: Database, driver: Any
) -> None:
    computed: list[int] = []
    await driver.create_function("compute", 1, lambda x: computed.append(x) or x)
    async with database.session(commit=False) as session:
        rows = await session.stream(
            text(NUMBERS + "SELECT compute(x) FROM n"), execution_options={"yield_per": size}
        )
        assert await anext(rows.scalars()) == 1
        assert len(computed) <= 2 * size + 1
        # Another statement in between fetches all of its own, and takes nothing of the stream's.
        other = await session.execute(text(NUMBERS + "SELECT x FROM n"))
        assert len(other.all()) == 10_000
        assert len(computed) <= 2 * size + 1
        assert len(await rows.scalars().all()) == 9_999
    assert len(computed) == 10_000


async def test_a_stream_that_is_read_to_its_end_is_closed_without_a_visit_of_its_own(
    database: Database, visits: Visits
) -> None:
    async with database.session(commit=False) as session:
        rows = await session.stream(text("SELECT n FROM counters"))
        before = visits.number
        assert len(await rows.all()) == 2
        # One for the rows, one for the next statement, and then one for ROLLBACK.
        assert visits.number == before + 1
        await session.execute(COUNT)
        assert visits.number == before + 2
    assert visits.number == before + 3


async def test_a_stream_left_in_the_middle_locks_nothing_once_its_connection_is_closed(
    make_database: Any,
) -> None:
    """In memory a reader's lock keeps every writer from committing."""
    database: Database = make_database("sqlite+aiosqlite://", lock_timeout=1)
    async with database.session() as session:
        await session.execute(text("CREATE TABLE t (x INTEGER)"))
        await session.execute(text("INSERT INTO t VALUES (:x)"), [{"x": x} for x in range(100)])
    session = database.open(access=Access.MANUAL)
    rows = await session.stream(text("SELECT x FROM t"), execution_options={"yield_per": 1})
    assert await anext(rows.scalars()) == 0
    cursor = rows._real_result.cursor._cursor._stream
    assert isinstance(cursor, sqlite3.Cursor)
    await session.invalidate()
    async with database.session() as writer:
        await writer.execute(text("DELETE FROM t"))
    await end_session(session)


async def test_a_connection_whose_thread_has_ended_is_replaced(
    database: Database, driver: Any
) -> None:
    driver.stop()
    await asyncio.wrap_future(driver._ended)
    with pytest.raises(OperationalError) as caught:
        async with database.session() as session:
            await session.execute(COUNT)
    assert caught.value.connection_invalidated
    async with database.session() as session:
        assert await session.scalar(COUNT) == 0


async def test_reading_costs_no_visit_to_see_whether_the_statement_was_a_query(
    database: Database, visits: Visits
) -> None:
    async with database.session(commit=False) as session:
        changed = await session.execute(INCREMENT)
        assert (changed.returns_rows, changed.rowcount) == (False, 1)
        found = await session.execute(select(COUNTERS.c.n).where(COUNTERS.c.id == 77))
        assert (found.returns_rows, found.all()) == (True, [])
        await session.rollback()
    assert visits.number == 3
