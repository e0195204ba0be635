"""An acknowledged write is a stored write: COMMIT runs before the response's start leaves."""

from __future__ import annotations

from hawkapi import BackgroundTasks, Depends, HawkAPI, Response
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Reply, call
from hawkapi_sqlalchemy.core import get_session
from schema import User


async def test_the_row_is_visible_to_others_when_the_start_leaves(app, with_users, stored) -> None:
    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(await stored())

    reply = await call(with_users(app), "POST", "/users", query="email=ada", on_start=look)

    assert reply.status == 201
    assert reply.json() == {"created": "ada"}
    assert seen == [["ada"]]


async def test_a_background_task_finds_the_row_stored(app: HawkAPI, stored) -> None:
    seen: list[list[str]] = []
    reply = Reply()

    async def look() -> None:
        assert reply.starts
        seen.append(await stored())

    @app.post("/users")
    async def create(tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        tasks.add_task(look)

    await call(app, "POST", "/users", reply=reply)

    assert reply.status == 201
    assert seen == [["ada"]]


async def test_a_head_request_commits_too(app: HawkAPI, stored) -> None:
    @app.get("/visits")
    async def visit(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="visitor"))
        return {"seen": True}

    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(await stored())

    reply = await call(app, "HEAD", "/visits", on_start=look)

    assert reply.status == 200
    assert reply.body == b""
    assert seen == [["visitor"]]


async def test_a_returned_response_reaches_the_client_unchanged(app: HawkAPI, stored) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> Response:
        session.add(User(email="ada"))
        return Response(b"made", status_code=202, headers={"x-kept": "yes", "set-cookie": "a=b"})

    reply = await call(app, "POST", "/users")

    assert (reply.status, reply.body) == (202, b"made")
    assert (reply.headers["x-kept"], reply.headers["set-cookie"]) == ("yes", "a=b")
    assert await stored() == ["ada"]


async def test_a_redirect_commits(app: HawkAPI, stored) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> Response:
        session.add(User(email="ada"))
        return Response(status_code=303, headers={"location": "/users/1"})

    assert (await call(app, "POST", "/users")).status == 303
    assert await stored() == ["ada"]


async def test_a_sync_handler_commits(app: HawkAPI, stored) -> None:
    """HawkAPI runs it in a thread; what it adds is flushed by the COMMIT."""

    @app.post("/users")
    def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert await stored() == ["ada"]
