"""Read-only sessions on a pool of their own: each statement for itself, and nothing beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseConfig,
    ReadOnlyError,
    TransactionRequiredError,
)
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.ending import end_session
from schema import User
from wire import Wire, tapped, traced

COUNT = text("SELECT n FROM counters WHERE id = 1")
INCREMENT = text("UPDATE counters SET n = n + 1 WHERE id = 1")
ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0}


@pytest.fixture
async def sent(counters: str, dialect: str, make_database: Any) -> AsyncIterator[Any]:
    """A Database of one reading connection, opened, and what is sent on it."""
    async with AsyncExitStack() as stack:
        wire = Wire(counters)
        if dialect != "sqlite":
            wire = await stack.enter_async_context(tapped(counters))
        database: Database = make_database(wire.url, **ONE_CONNECTION, ping_after_idle=600.0)
        if dialect == "sqlite":
            traced(database.get().read_engine.sync_engine, wire)
        async with reading(database) as session:
            await session.execute(COUNT)
        wire.clear()
        yield database, wire
        await database.dispose()


def reading(database: Database) -> AsyncSession:
    return database.open(access=Access.READ)


async def test_a_read_is_one_statement_and_one_round_trip(sent: Any) -> None:
    database, wire = sent
    for _ in range(3):
        session = reading(database)
        assert await session.scalar(COUNT) == 0
        await end_session(session)
    assert wire.statements == [str(COUNT)] * 3
    assert wire.round_trips == 3


async def test_a_rollback_sends_nothing(sent: Any) -> None:
    await end_twice(sent, "rollback")


# SQLAlchemy leaves out ROLLBACK in AUTOCOMMIT, but not COMMIT, which aiomysql sends.
@pytest.mark.dialects("postgresql", "sqlite")
async def test_a_commit_sends_nothing(sent: Any) -> None:
    await end_twice(sent, "commit")


async def end_twice(sent: Any, end: str) -> None:
    database, wire = sent
    session = reading(database)
    for _ in range(2):
        await session.execute(COUNT)
        await getattr(session, end)()
    await end_session(session)
    assert wire.statements == [str(COUNT)] * 2


async def test_a_session_that_asks_nothing_sends_nothing(sent: Any) -> None:
    database, wire = sent
    session = reading(database)
    await session.connection()
    await end_session(session)
    assert wire.statements == []


async def test_an_error_sends_nothing_more(sent: Any) -> None:
    database, wire = sent
    session = reading(database)
    for _ in range(2):
        with pytest.raises(ReadOnlyError):
            await session.execute(INCREMENT)
        await session.rollback()
    await session.execute(COUNT)
    await end_session(session)
    # SQLite reports what it runs, and refuses a write before.
    assert [each for each in wire.statements if each != str(INCREMENT)] == [str(COUNT)]


async def test_each_statement_sees_what_was_committed_before_it(sent: Any) -> None:
    database, _ = sent
    session = reading(database)
    for n in range(3):
        assert await session.scalar(COUNT) == n
        async with database.session() as writer:
            await writer.execute(INCREMENT)
    await end_session(session)


async def orm(session: AsyncSession) -> None:
    session.add(User(email="eve"))
    await session.flush()


async def core(session: AsyncSession) -> None:
    await session.execute(insert(User), [{"email": "eve"}, {"email": "mallory"}])


async def by_text(session: AsyncSession) -> None:
    await session.execute(text("DELETE FROM users"))


async def create(session: AsyncSession) -> None:
    await session.execute(text("CREATE TABLE t (x INTEGER)"))


async def drop(session: AsyncSession) -> None:
    await session.execute(text("DROP TABLE orders"))


@pytest.mark.parametrize("write", [orm, core, by_text, create, drop])
@pytest.mark.parametrize("access", [Access.READ, Access.SNAPSHOT])
async def test_the_server_refuses_every_kind_of_write(
    access: Access, write: Any, url: str, stored: Any
) -> None:
    database = Database()
    database.add("primary", DatabaseConfig(url, **ONE_CONNECTION))
    async with database.session() as session:
        session.add(User(email="ada"))
    session = database.open(access=access)
    with pytest.raises(ReadOnlyError):
        await write(session)
    await session.rollback()
    assert (await session.scalars(select(User.email))).all() == ["ada"]
    await session.commit()
    await end_session(session)
    assert await stored() == ["ada"]
    await database.dispose()


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT n FROM counters FOR UPDATE",
        "SELECT n FROM counters FOR SHARE",
        "SELECT nextval('numbers')",
        "SELECT setval('numbers', 7)",
        "TRUNCATE counters",
        "WITH gone AS (DELETE FROM counters RETURNING n) SELECT * FROM gone",
    ],
)
@pytest.mark.parametrize("access", [Access.READ, Access.SNAPSHOT])
async def test_postgresql_refuses_what_looks_like_a_read_and_writes(
    access: Access, statement: str, counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters)
    async with database.session() as session:
        await session.execute(text("CREATE SEQUENCE numbers"))
    session = database.open(access=access)
    with pytest.raises(ReadOnlyError):
        await session.execute(text(statement))
    await end_session(session)


@pytest.mark.parametrize(
    "bypass",
    [
        pytest.param("SET default_transaction_read_only = off", id="setting"),
        pytest.param("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", id="characteristics"),
        pytest.param("BEGIN READ WRITE", id="begin"),
    ],
)
@pytest.mark.dialects("postgresql")
async def test_a_text_that_makes_postgresqls_connection_writable_reaches_no_other_session(
    bypass: str, sent: Any, ask: Any
) -> None:
    await spoil(sent, bypass, ask)


@pytest.mark.dialects("mariadb", "sqlite")
async def test_a_transaction_begun_by_text_reaches_no_other_session(sent: Any, ask: Any) -> None:
    await spoil(sent, "BEGIN", ask)


async def spoil(sent: Any, bypass: str, ask: Any) -> None:
    database, _ = sent
    [first] = database.get()._pools.reading.open.values()
    session = reading(database)
    await session.execute(text(bypass))
    await session.execute(COUNT)
    await end_session(session)
    async with database.session() as writer:
        await writer.execute(INCREMENT)
    session = reading(database)
    [other] = database.get()._pools.reading.open.values() or [None]
    assert other is not first
    assert await session.scalar(COUNT) == 1
    with pytest.raises(ReadOnlyError):
        await session.execute(INCREMENT)
    await end_session(session)
    assert await ask(str(COUNT)) == 1


@pytest.mark.dialects("postgresql")
async def test_what_a_text_wrote_in_a_transaction_of_its_own_is_not_stored(
    sent: Any, ask: Any
) -> None:
    database, _ = sent
    session = reading(database)
    await session.execute(text("BEGIN READ WRITE"))
    await session.execute(INCREMENT)
    await session.commit()
    await end_session(session)
    assert await ask(str(COUNT)) == 0


async def test_a_savepoint_is_refused_and_the_remedy_named(sent: Any) -> None:
    database, wire = sent
    session = reading(database)
    with pytest.raises(TransactionRequiredError, match="a savepoint needs a transaction") as caught:
        await session.begin_nested()
    assert "commit=False, snapshot=True" in str(caught.value)
    assert repr("primary") in str(caught.value)
    assert await session.scalar(COUNT) == 0
    await end_session(session)
    assert wire.statements == [str(COUNT)]


@pytest.mark.dialects("postgresql")
async def test_a_server_side_cursor_is_refused_by_postgresql_and_the_remedy_named(
    sent: Any,
) -> None:
    database, _ = sent
    session = reading(database)
    with pytest.raises(TransactionRequiredError, match=r"server-side cursor.* needs") as caught:
        await session.stream(COUNT)
    assert "commit=False, snapshot=True" in str(caught.value)
    await session.rollback()
    assert await session.scalar(COUNT) == 0
    await end_session(session)
    assert database.checked_out == 0


@pytest.mark.dialects("mariadb", "sqlite")
async def test_a_server_side_cursor_needs_no_transaction_elsewhere(sent: Any) -> None:
    database, _ = sent
    session = reading(database)
    result = await session.stream(text("SELECT n FROM counters"))
    assert [row.n async for row in result] == [0, 0]
    await end_session(session)
