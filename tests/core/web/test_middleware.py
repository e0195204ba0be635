"""Middleware around the handler does not loosen the promise.

One with an `after_response` hook holds the response back until the handler's background tasks have
run, so that COMMIT must have been decided before.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, Request, Response
from hawkapi.middleware import Middleware
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import get_session
from schema import User


class Stamp(Middleware):
    """Marks each response, which it therefore holds back."""

    async def after_response(self, request: Request, response: Response) -> Response:
        response.headers["x-stamp"] = "stamped"
        return response


class HidesItsInside(Middleware):
    """Keeps the next application under a name of its own."""

    def __init__(self, app: Callable) -> None:
        self._inside = app

    async def __call__(self, scope, receive, send) -> None:
        await self._inside(scope, receive, send)


def add_nothing(app: HawkAPI) -> None:
    """No middleware beside ours."""


def add_stamp(app: HawkAPI) -> None:
    app.add_middleware(Stamp)


def add_hider(app: HawkAPI) -> None:
    app.add_middleware(HidesItsInside)


def add_both(app: HawkAPI) -> None:
    app.add_middleware(Stamp)
    app.add_middleware(HidesItsInside)


@pytest.fixture(
    params=[
        pytest.param((add_stamp, add_nothing, ()), id="before-init"),
        pytest.param((add_nothing, add_stamp, ()), id="after-init"),
        pytest.param((add_nothing, add_nothing, (Stamp,)), id="route"),
        pytest.param((add_stamp, add_stamp, (Stamp, Stamp)), id="everywhere"),
        pytest.param((add_nothing, add_both, ()), id="with-an-opaque-one"),
    ]
)
def surrounded(request, new_app) -> tuple[HawkAPI, list[str]]:
    """An application with middleware, and what its background tasks did."""
    before, after, of_route = request.param
    app = HawkAPI()
    before(app)
    new_app(on=app)
    after(app)
    ran: list[str] = []

    @app.post("/users", middleware=list(of_route))
    async def create(
        email: str, tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)
    ) -> dict:
        session.add(User(email=email))
        tasks.add_task(ran.append, email)
        return {"created": email}

    return app, ran


async def test_a_good_commit_precedes_the_background_tasks(surrounded, stored) -> None:
    app, ran = surrounded

    reply = await call(app, "POST", "/users", query="email=ada")

    assert reply.status == 201
    assert reply.headers["x-stamp"] == "stamped"
    assert ran == ["ada"]
    assert await stored() == ["ada"]


async def test_a_failed_commit_replaces_the_response_and_stops_the_tasks(
    surrounded, existing, stored
) -> None:
    app, ran = surrounded
    await existing("ada")

    reply = await call(app, "POST", "/users", query="email=ada")

    assert reply.status == 409
    assert reply.json()["status"] == 409
    assert reply.headers["content-length"] == str(len(reply.body))
    assert ran == []
    assert await stored() == ["ada"]


async def test_middleware_that_answers_by_itself_has_its_writes_committed(app, stored) -> None:
    """It stands outside the handler, and its response is a response like any other."""

    class Audit(Middleware):
        async def before_request(self, request: Request) -> Response:
            session = await get_session(request)
            session.add(User(email=request.query_params.get("email")))
            return Response(b"audited", status_code=200)

    app.add_middleware(Audit)
    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(await stored())

    reply = await call(app, "GET", "/anything", query="email=ada", on_start=look)

    assert (reply.status, reply.body) == (200, b"audited")
    assert seen == [["ada"]]
    assert (await call(app, "GET", "/anything", query="email=ada")).status == 409


async def test_a_session_of_a_middleware_is_that_of_the_handler(app: HawkAPI, stored) -> None:
    sessions: list[AsyncSession] = []

    class Opens(Middleware):
        async def before_request(self, request: Request) -> None:
            sessions.append(await get_session(request))

    app.add_middleware(Opens)

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        sessions.append(session)
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert sessions[0] is sessions[1]
    assert await stored() == ["ada"]


async def test_an_exception_of_an_inner_middleware_rolls_back(app: HawkAPI, stored) -> None:
    class Fails(Middleware):
        async def __call__(self, scope, receive, send) -> None:
            session = await get_session(Request(scope, receive))
            session.add(User(email="ada"))
            await session.flush()
            raise RuntimeError("of the middleware")

    app.add_middleware(Fails)

    with pytest.raises(RuntimeError, match="of the middleware"):
        await call(app, "POST", "/users")
    assert app.state.db.checked_out == 0
    assert await stored() == []
