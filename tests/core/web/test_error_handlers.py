"""A handler that the application registered for an error answers it, whenever it happens."""

from __future__ import annotations

import asyncio

import pytest
from hawkapi import Depends, HawkAPI, Request, Response
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import body_then_silence, call
from hawkapi_sqlalchemy.core import UnknownDatabaseError, get_session, session_for
from schema import User


def add_route(app: HawkAPI) -> None:
    @app.post("/users/{email}")
    async def create(
        email: str, flush: bool = False, session: AsyncSession = Depends(get_session)
    ) -> dict:
        session.add(User(email=email))
        if flush:
            await session.flush()
        return {}


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("kind", [IntegrityError, SQLAlchemyError, Exception])
async def test_it_answers_at_flush_and_at_commit(
    new_app, existing, stored, kind: type[Exception], order: str, asynchronous: bool
) -> None:
    app = HawkAPI()
    seen: list[Exception] = []

    def answer(request: Request, error: Exception) -> Response:
        seen.append(error)
        return Response(b"by the application", status_code=418, headers={"x-own": "yes"})

    async def answer_later(request: Request, error: Exception) -> Response:
        await asyncio.sleep(0)
        return answer(request, error)

    handler = answer_later if asynchronous else answer
    if order == "before":
        app.exception_handler(kind)(handler)
    new_app(on=app)
    if order == "after":
        app.exception_handler(kind)(handler)
    add_route(app)
    await existing("ada")

    for flush in ("true", "false"):
        reply = await call(app, "POST", "/users/ada", query=f"flush={flush}")
        assert (reply.status, reply.body) == (418, b"by the application")
        assert reply.headers["x-own"] == "yes"
    assert [type(error) for error in seen] == [IntegrityError, IntegrityError]
    assert await stored() == ["ada"]


async def test_what_it_returns_besides_a_response_is_a_500(app: HawkAPI, existing) -> None:
    """As HawkAPI does with what its exception handlers return."""

    @app.exception_handler(IntegrityError)
    async def handler(request: Request, error: IntegrityError) -> dict:
        return {"by": "the application"}

    add_route(app)
    await existing("ada")

    for flush in ("true", "false"):
        reply = await call(app, "POST", "/users/ada", query=f"flush={flush}")
        assert (reply.status, reply.json()) == (500, {"by": "the application"})


async def test_it_may_read_the_request_at_both_moments(app: HawkAPI, existing) -> None:
    """A body that nobody has read yet, and the path's parameters, are there at COMMIT too."""
    seen: list[tuple[bytes, object, str]] = []

    @app.exception_handler(IntegrityError)
    async def handler(request: Request, error: IntegrityError) -> Response:
        seen.append((await request.body(), request.path_params["email"], request.path))
        return Response(status_code=418)

    add_route(app)
    await existing("ada")

    for flush in ("true", "false"):
        async with asyncio.timeout(10):
            await call(
                app,
                "POST",
                "/users/ada",
                query=f"flush={flush}",
                receive=body_then_silence(b"the body"),
            )
    assert seen == [(b"the body", "ada", "/users/ada")] * 2


async def test_one_for_another_kind_of_error_is_not_asked(app: HawkAPI, existing) -> None:
    @app.exception_handler(KeyError)
    def handler(request: Request, error: Exception) -> Response:
        return Response(status_code=418)

    add_route(app)
    await existing("ada")

    for flush in ("true", "false"):
        assert (await call(app, "POST", "/users/ada", query=f"flush={flush}")).status == 409


async def test_one_for_our_own_errors_is_asked(app: HawkAPI) -> None:
    @app.exception_handler(UnknownDatabaseError)
    def handler(request: Request, error: UnknownDatabaseError) -> Response:
        return Response(error.name.encode(), status_code=418)

    @app.get("/")
    async def unknown(session: AsyncSession = Depends(session_for("nope"))) -> dict:
        return {}

    reply = await call(app, "GET", "/")
    assert (reply.status, reply.body) == (418, b"nope")


async def test_one_that_fails_itself_is_a_500_without_details(new_app, existing) -> None:
    app = new_app()

    @app.exception_handler(IntegrityError)
    def handler(request: Request, error: IntegrityError) -> Response:
        raise RuntimeError(str(error))

    add_route(app)
    await existing("ada")

    for flush in ("true", "false"):
        reply = await call(app, "POST", "/users/ada", query=f"flush={flush}")
        assert reply.status == 500
        assert b"INSERT" not in reply.body


async def test_plugins_hear_of_a_failed_commit(app: HawkAPI, existing) -> None:
    """HawkAPI tells its plugins of each exception, so that error trackers see this one too."""
    from hawkapi.plugins import Plugin

    heard: list[Exception] = []

    class Tracker(Plugin):
        def on_exception(self, request: Request, exc: Exception) -> None:
            heard.append(exc)

    app.add_plugin(Tracker())
    add_route(app)
    await existing("ada")

    for flush in ("true", "false"):
        await call(app, "POST", "/users/ada", query=f"flush={flush}")
    assert [type(error) for error in heard] == [IntegrityError, IntegrityError]


async def test_an_unexpected_error_is_logged_with_its_request(app: HawkAPI, caplog) -> None:
    @app.get("/")
    async def nonsense(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(text("SELECT * FROM no_such_table"))
        return {}

    assert (await call(app, "GET", "/")).status == 500
    assert "GET /: database error" in caplog.text
