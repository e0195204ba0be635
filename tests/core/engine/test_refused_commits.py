"""A COMMIT that is refused on this side leaves nothing on the connection for the next session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import Database, TransactionLostError
from hawkapi_sqlalchemy.core.ending import commit_session, end_session
from hawkapi_sqlalchemy.core.faults import Fault, fault_of

COUNT = "SELECT n FROM counters WHERE id = 1"


async def add(session: AsyncSession, row: int, amount: int = 1) -> None:
    await session.execute(
        text("UPDATE counters SET n = n + :amount WHERE id = :id"), {"id": row, "amount": amount}
    )


@pytest.fixture
def database(counters: str, make_database: Any) -> Database:
    """A Database of one connection, which the next session gets."""
    return make_database(counters, pool_size=1, max_overflow=0)


async def test_a_listener_that_raises_at_commit_prevents_it(database: Database, ask: Any) -> None:
    raised: list[Connection] = []

    @event.listens_for(database.get().engine.sync_engine, "commit")
    def refuse_once(connection: Connection) -> None:
        if not raised:
            raised.append(connection)
            raise LookupError("not now")

    with pytest.raises(LookupError):
        async with database.session() as session:
            await add(session, 1)
    assert await ask(COUNT) == 0
    async with database.session() as session:
        await add(session, 2)
    assert await ask(COUNT) == 0


@pytest.mark.dialects("mariadb")
async def test_what_was_done_after_a_swallowed_deadlock_is_stored_by_nobody(
    database: Database, counters: str, make_database: Any, ask: Any
) -> None:
    """MariaDB goes on in a new transaction, which COMMIT is refused for."""
    other: Database = make_database(counters)
    session, rival = database.open(), other.open()
    await add(session, 1)
    # The heavier one survives.
    await rival.execute(text("INSERT INTO counters VALUES (3, 0), (4, 0), (5, 0), (6, 0)"))
    await add(rival, 2, amount=0)
    waiting = asyncio.ensure_future(add(rival, 1, amount=0))
    with pytest.raises(DBAPIError) as caught:
        await add(session, 2)
    assert fault_of(caught.value) is Fault.DEADLOCK
    await waiting
    await end_session(rival)
    await add(session, 1)
    with pytest.raises(TransactionLostError):
        await commit_session(session)
    await end_session(session)
    assert database.checked_out == 0
    async with database.session() as session:
        await add(session, 2)
    assert await ask(COUNT) == 0
