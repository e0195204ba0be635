"""A COMMIT that fails replaces the whole response, and nothing that would follow it happens."""

from __future__ import annotations

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, Response
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Reply, call
from hawkapi_sqlalchemy.core import get_session
from schema import User


def assert_replaced(reply: Reply, status: int) -> None:
    """The reply is a whole problem document, with nothing of the original in it."""
    assert reply.status == status
    assert set(reply.headers) <= {"content-type", "content-length", "retry-after"}
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["content-length"] == str(len(reply.body))
    assert reply.json()["status"] == status
    assert b"original" not in reply.body


@pytest.fixture
def original() -> Response:
    """What the handler wanted to answer."""
    return Response(
        b'{"original": true}',
        status_code=201,
        headers={"set-cookie": "session=original", "x-original": "yes", "etag": "original"},
        content_type="application/json",
    )


async def test_a_violation_found_by_the_last_flush_is_a_409(
    app: HawkAPI, existing, stored, original: Response
) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> Response:
        session.add_all([User(email="new"), User(email="ada")])
        return original

    await existing("ada")
    reply = await call(app, "POST", "/users")

    assert_replaced(reply, 409)
    assert await stored() == ["ada"]


@pytest.mark.dialects("sqlite", "postgresql")
async def test_a_constraint_that_is_checked_at_commit_is_a_409(
    app: HawkAPI, deferred_orders, stored, original: Response
) -> None:
    @app.post("/orders")
    async def create(session: AsyncSession = Depends(get_session)) -> Response:
        session.add(User(email="ada"))
        await session.execute(text("INSERT INTO deferred_orders VALUES (1, 4711)"))
        await session.flush()
        return original

    await deferred_orders()
    reply = await call(app, "POST", "/orders")

    assert_replaced(reply, 409)
    assert await stored() == []


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_connection_that_was_cut_before_commit_is_a_503(
    app: HawkAPI, url: str, database_server, stored, original: Response
) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> Response:
        session.add(User(email="ada"))
        await session.flush()
        database_server.disconnect(make_url(url).database)
        return original

    reply = await call(app, "POST", "/users")

    assert_replaced(reply, 503)
    assert reply.headers["retry-after"] == "1"
    assert await stored() == []


async def test_background_tasks_do_not_run(app: HawkAPI, existing) -> None:
    ran: list[str] = []

    @app.post("/users")
    async def create(tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)) -> dict:
        tasks.add_task(ran.append, "task")
        session.add(User(email="ada"))
        return {"original": True}

    await existing("ada")

    assert_replaced(await call(app, "POST", "/users"), 409)
    assert ran == []


async def test_a_head_request_gets_the_error_without_a_body(app: HawkAPI, existing) -> None:
    """A body after HEAD would be read as the beginning of the next response."""

    @app.get("/visits")
    async def visit(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        return {"original": True}

    await existing("ada")
    asked = await call(app, "GET", "/visits")
    reply = await call(app, "HEAD", "/visits")

    assert_replaced(asked, 409)
    assert reply.status == 409
    assert reply.body == b""
    assert reply.headers == asked.headers


async def test_the_next_request_on_the_same_connection_works(
    app: HawkAPI, with_users, existing, stored
) -> None:
    await existing("ada")

    assert (await call(with_users(app), "POST", "/users", query="email=ada")).status == 409
    assert app.state.db.checked_out == 0
    assert (await call(app, "POST", "/users", query="email=bob")).status == 201
    assert await stored() == ["ada", "bob"]


async def test_an_error_of_the_applications_own_at_commit_is_a_500(app: HawkAPI, stored) -> None:
    """What a `before_commit` listener raises is no success either; HawkAPI answers it."""

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        def refuse(_: object) -> None:
            raise ValueError("original")

        event.listen(session.sync_session, "before_commit", refuse)
        session.add(User(email="ada"))
        return {"original": True}

    reply = await call(app, "POST", "/users")

    assert reply.status == 500
    assert b"original" not in reply.body
    assert await stored() == []
