"""Read-only means read-only: the server refuses what such a session writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import delete, event, insert, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import ReadOnlyError, get_replica_session, get_session, session_for
from schema import User


async def flush(session: AsyncSession) -> None:
    session.add(User(email="late"))
    await session.flush()


WRITES: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "orm flush": flush,
    "core insert": lambda session: session.execute(insert(User).values(email="late")),
    "core update": lambda session: session.execute(update(User).values(email="late")),
    "core delete": lambda session: session.execute(delete(User)),
    "text": lambda session: session.execute(text("INSERT INTO users (email) VALUES ('late')")),
    "ddl": lambda session: session.execute(text("CREATE TABLE late (id INTEGER)")),
}

SESSIONS = {
    "get_replica_session": get_replica_session,
    "session_for": session_for("primary"),
    "session_for without commit": session_for("primary", commit=False),
    "get_session": get_session,
}


@pytest.fixture(params=list(SESSIONS))
def reading(request, new_app) -> HawkAPI:
    """An application whose `/read` has a read-only session, and tries one write after another."""
    dependency = SESSIONS[request.param]
    read_only = dependency is not get_replica_session
    app = new_app(read_only=read_only)

    @app.get("/read")
    async def read(write: str, session: AsyncSession = Depends(dependency)) -> dict:
        await WRITES[write](session)
        return {}

    return app


async def test_every_kind_of_write_is_refused(reading: HawkAPI, existing, stored, caplog) -> None:
    await existing("ada")

    for write in WRITES:
        caplog.clear()
        reply = await call(reading, "GET", "/read", query=f"write={write}".replace(" ", "+"))
        assert reply.status == 500, write
        assert "is read-only" in caplog.text, write
    assert await stored() == ["ada"]


async def test_a_swallowed_refusal_stores_nothing(app: HawkAPI, stored) -> None:
    @app.get("/read")
    async def read(session: AsyncSession = Depends(get_replica_session)) -> dict:
        with pytest.raises(ReadOnlyError, match="read-only"):
            await session.execute(insert(User).values(email="late"))
        return {}

    await call(app, "GET", "/read")
    assert await stored() == []


async def test_what_is_only_added_is_never_stored(app: HawkAPI, stored) -> None:
    @app.get("/read")
    async def read(session: AsyncSession = Depends(get_replica_session)) -> dict:
        session.add(User(email="late"))
        return {}

    await call(app, "GET", "/read")
    assert await stored() == []


async def test_an_explicit_commit_is_refused_too(app: HawkAPI, stored) -> None:
    @app.get("/read")
    async def read(session: AsyncSession = Depends(get_replica_session)) -> dict:
        session.add(User(email="late"))
        await session.commit()
        return {}

    assert (await call(app, "GET", "/read")).status == 500
    assert await stored() == []


async def test_the_pooled_connection_can_write_again(app: HawkAPI, with_users, stored) -> None:
    """The pool has one connection: being read-only does not stick to it, in either order."""
    with_users(app)

    @app.get("/read")
    async def read(session: AsyncSession = Depends(get_replica_session)) -> dict:
        await session.execute(insert(User).values(email="late"))
        return {}

    for number in range(2):
        assert (await call(app, "GET", "/read")).status == 500
        query = f"email=user-{number}"
        assert (await call(app, "POST", "/users", query=query)).status == 201
    assert await stored() == ["user-0", "user-1"]


async def test_a_manual_session_of_a_writable_database_stores_only_what_it_commits(
    app: HawkAPI, stored, caplog
) -> None:
    @app.post("/users")
    async def create(
        commit: bool, session: AsyncSession = Depends(session_for("primary", commit=False))
    ) -> dict:
        session.add(User(email=f"commit-{commit}"))
        await session.flush()
        if commit:
            await session.commit()
        return {}

    await call(app, "POST", "/users", query="commit=true")
    assert "nobody committed" not in caplog.text
    await call(app, "POST", "/users", query="commit=false")
    assert "nobody committed" in caplog.text
    assert await stored() == ["commit-True"]


@pytest.mark.parametrize("end", ["rollback", "failed commit"])
async def test_a_manual_session_whose_owner_ended_its_transaction_is_not_warned_of(
    app: HawkAPI, stored, caplog, end: str
) -> None:
    """Neither after a rollback nor after a COMMIT that failed, whose error has been raised."""

    def refuse(connection: Connection) -> None:
        raise LookupError("no COMMIT today")

    @app.post("/users")
    async def create(session: AsyncSession = Depends(session_for("primary", commit=False))) -> dict:
        session.add(User(email="a"))
        await session.flush()
        if end == "rollback":
            await session.rollback()
        else:
            connection = (await session.connection()).sync_connection
            event.listen(connection, "commit", refuse)
            with pytest.raises(LookupError):
                await session.commit()
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert "nobody committed" not in caplog.text
    assert await stored() == []


async def test_a_savepoint_that_is_rolled_back_does_not_hide_what_nobody_committed(
    app: HawkAPI, stored, caplog
) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(session_for("primary", commit=False))) -> dict:
        session.add(User(email="a"))
        await session.flush()
        savepoint = await session.begin_nested()
        await savepoint.rollback()
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert "nobody committed" in caplog.text
    assert await stored() == []
