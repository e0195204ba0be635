"""A swallowed database error that ended the transaction does not become a success."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from asgi import DEADLINE, call
from hawkapi_sqlalchemy.core import get_session
from schema import User

_BLOCKED = {
    # Longer than deadlock_timeout: the rival has looked for a deadlock, found none, and will
    # not look again. Whoever closes the circle now finds it, and is the victim.
    "postgresql": "SELECT 1 FROM pg_stat_activity WHERE datname = '{database}' "
    "AND wait_event_type = 'Lock' AND query_start < clock_timestamp() - interval '60 ms'",
    "mariadb": "SELECT 1 FROM information_schema.innodb_trx t "
    "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
    "WHERE p.db = '{database}' AND t.trx_state = 'LOCK WAIT'",
}


@pytest.fixture
async def become_deadlock_victim(
    dialect: str, url: str, database_server, existing
) -> AsyncIterator[Callable[[AsyncSession], Awaitable[None]]]:
    """Run a session into a deadlock with a rival, in which the session loses."""
    database = make_url(url).database
    if dialect == "postgresql":
        database_server.execute(f"ALTER DATABASE \"{database}\" SET deadlock_timeout = '30ms'")
    await existing("first", "second")
    engine = create_async_engine(url, poolclass=NullPool)

    async def lose(session: AsyncSession) -> None:
        update = text("UPDATE users SET email = :to WHERE email = :email")
        async with engine.connect() as rival:
            # InnoDB's victim is the transaction that has changed less.
            await rival.execute(insert(User), [{"email": f"rival {n}"} for n in range(50)])
            await rival.execute(update, {"email": "second", "to": "second, by the rival"})
            await session.execute(update, {"email": "first", "to": "first, by the request"})
            waiting = asyncio.create_task(
                rival.execute(update, {"email": "first", "to": "first, by the rival"})
            )
            try:
                async with asyncio.timeout(DEADLINE):
                    blocked = _BLOCKED[dialect].format(database=database)
                    while not database_server.execute(blocked):  # noqa: ASYNC110  # a server's state
                        # MariaDB refreshes this view only when nobody has looked for 0.1 s.
                        await asyncio.sleep(0.11)
                await session.execute(update, {"email": "second", "to": "second, by the request"})
            finally:
                await waiting
                await rival.rollback()

    yield lose
    await engine.dispose()


@pytest.mark.dialects("postgresql")
async def test_an_aborted_transaction_is_no_success(app: HawkAPI, existing, stored) -> None:
    """PostgreSQL would answer the COMMIT with a silent ROLLBACK."""

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(insert(User).values(email="new"))
        with pytest.raises(IntegrityError):
            await session.execute(insert(User).values(email="ada"))
        return {"original": True}

    await existing("ada")
    reply = await call(app, "POST", "/users")

    assert reply.status == 409
    assert b"original" not in reply.body
    assert await stored() == ["ada"]


@pytest.mark.dialects("sqlite")
async def test_on_conflict_rollback_is_no_success(app: HawkAPI, existing, stored) -> None:
    """SQLite ends the whole transaction by itself; the connection goes on without one."""

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(insert(User).values(email="new"))
        with pytest.raises(IntegrityError):
            await session.execute(text("INSERT OR ROLLBACK INTO users (email) VALUES ('ada')"))
        return {"original": True}

    await existing("ada")
    reply = await call(app, "POST", "/users")

    assert reply.status == 409
    assert b"original" not in reply.body
    assert await stored() == ["ada"]


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_deadlocks_victim_is_no_success(
    app: HawkAPI, become_deadlock_victim, stored
) -> None:
    """MariaDB rolls everything back, and goes on in a new transaction as if nothing had been."""

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="before"))
        await session.flush()
        with pytest.raises(DBAPIError):
            await become_deadlock_victim(session)
        return {"original": True}

    reply = await call(app, "POST", "/users")

    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"
    assert await stored() == ["first", "second"]


@pytest.mark.dialects("mariadb")
async def test_a_later_error_does_not_hide_the_deadlock(
    app: HawkAPI, become_deadlock_victim, existing, stored
) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(insert(User).values(email="before"))
        with pytest.raises(DBAPIError):
            await become_deadlock_victim(session)
        with pytest.raises(IntegrityError):
            await session.execute(insert(User).values(email="first"))
        return {"original": True}

    reply = await call(app, "POST", "/users")

    assert reply.status == 503
    assert await stored() == ["first", "second"]


@pytest.mark.dialects("mariadb")
async def test_a_savepoint_does_not_save_from_a_deadlock(
    app: HawkAPI, become_deadlock_victim, stored
) -> None:
    """The savepoint is gone with the transaction, and rolling back to it is one more error."""

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(insert(User).values(email="before"))
        with pytest.raises(DBAPIError):
            async with session.begin_nested():
                await become_deadlock_victim(session)
        return {"original": True}

    reply = await call(app, "POST", "/users")

    assert reply.status >= 500
    assert b"original" not in reply.body
    assert await stored() == ["first", "second"]


async def test_a_failed_flush_that_was_swallowed_is_no_success(
    app: HawkAPI, existing, stored
) -> None:
    """SQLAlchemy itself rolls the session back when a flush fails."""

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="new"))
        await session.flush()
        session.add(User(email="ada"))
        with pytest.raises(IntegrityError):
            await session.flush()
        return {"original": True}

    await existing("ada")
    reply = await call(app, "POST", "/users")

    assert reply.status >= 400
    assert b"original" not in reply.body
    assert await stored() == ["ada"]


async def test_an_error_inside_a_savepoint_leaves_the_success_and_the_writes(
    app: HawkAPI, existing, stored
) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="before"))
        await session.flush()
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                session.add(User(email="ada"))
        session.add(User(email="after"))
        return {}

    await existing("ada")

    assert (await call(app, "POST", "/users")).status == 201
    assert await stored() == ["ada", "after", "before"]


@pytest.mark.dialects("sqlite", "mariadb")
async def test_a_failed_statement_that_left_the_transaction_whole_is_a_success(
    app: HawkAPI, existing, stored
) -> None:
    """SQLite and MariaDB undo the statement alone; what else was written is acknowledged."""

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(insert(User).values(email="new"))
        with pytest.raises(IntegrityError):
            await session.execute(insert(User).values(email="ada"))
        return {}

    await existing("ada")

    assert (await call(app, "POST", "/users")).status == 201
    assert await stored() == ["ada", "new"]


async def test_a_transaction_that_the_handler_rolled_back_itself_may_begin_anew(
    app: HawkAPI, existing, stored
) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        with pytest.raises(IntegrityError):
            await session.flush()
        await session.rollback()
        session.add(User(email="bob"))
        return {}

    await existing("ada")

    assert (await call(app, "POST", "/users")).status == 201
    assert await stored() == ["ada", "bob"]
