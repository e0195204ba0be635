"""The application's own exception handlers, where they are several, fail, or only seem to fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hawkapi import Depends, HawkAPI, Request, Response
from hawkapi.plugins import Plugin
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import PoolExhaustedError, get_session
from schema import User

FLUSH = ("true", "false")


@pytest.fixture
def serving(existing) -> Callable:
    """Give an application `POST /users?flush=...`, which violates a constraint."""

    async def add(app: HawkAPI) -> HawkAPI:
        await existing("ada")

        @app.post("/users")
        async def create(flush: bool, session: AsyncSession = Depends(get_session)) -> dict:
            session.add(User(email="ada"))
            if flush:
                await session.flush()
            return {"original": True}

        return app

    return add


def answering(status: int) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        return Response(b"", status_code=status)

    return answer


@pytest.mark.parametrize("flush", FLUSH)
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param([IntegrityError], [Exception], 590, id="special-before-init"),
        pytest.param([], [IntegrityError, Exception], 590, id="special-first"),
        pytest.param([], [SQLAlchemyError, IntegrityError], 590, id="general-first"),
        pytest.param([], [OperationalError, DBAPIError], 591, id="one-of-two-fits"),
        pytest.param([], [OperationalError, PoolExhaustedError], 409, id="none-fits"),
    ],
)
async def test_of_several_handlers_the_first_that_fits_answers(
    new_app, serving, before: list, after: list, expected: int, flush: str
) -> None:
    """As HawkAPI decides for any error: in the order of registration. Ours comes last."""
    app = HawkAPI()
    kinds = [*before, *after]
    for kind in before:
        app.exception_handler(kind)(answering(590 + kinds.index(kind)))
    new_app(on=app)
    for kind in after:
        app.exception_handler(kind)(answering(590 + kinds.index(kind)))
    await serving(app)

    assert (await call(app, "POST", "/users", query=f"flush={flush}")).status == expected


@pytest.mark.parametrize("flush", FLUSH)
async def test_a_handler_for_the_base_that_was_there_before_init_database_is_kept(
    new_app, serving, flush: str
) -> None:
    """Ours is registered for the same class, and must not take its place."""
    app = HawkAPI()
    app.exception_handler(SQLAlchemyError)(answering(590))
    new_app(on=app)
    await serving(app)

    assert (await call(app, "POST", "/users", query=f"flush={flush}")).status == 590


@pytest.mark.parametrize("flush", FLUSH)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_a_handler_that_fails_shows_no_sql_even_in_debug_mode(
    new_app, serving, asynchronous: bool, flush: str
) -> None:
    app = new_app(hawkapi={"debug": True})

    def fails(request: Request, error: Exception) -> Response:
        raise RuntimeError("of the handler")

    async def fails_later(request: Request, error: Exception) -> Response:
        raise RuntimeError("of the handler")

    app.exception_handler(IntegrityError)(fails_later if asynchronous else fails)
    await serving(app)

    reply = await call(app, "POST", "/users", query=f"flush={flush}")

    assert reply.status == 500
    told = reply.body.lower()
    assert [each for each in (b"insert", b"users", b"ada", b"sqlalche") if each in told] == []


@pytest.mark.parametrize("handled", [False, True], ids=["ours", "application"])
async def test_a_plugin_hears_each_failure_once_and_with_its_request(
    new_app, serving, handled: bool
) -> None:
    heard: list[tuple[str, type]] = []

    class Tracker(Plugin):
        def on_exception(self, request: Request, exc: Exception) -> None:
            heard.append((request.query_params.get("flush"), type(exc)))

    app = new_app()
    app.add_plugin(Tracker())
    if handled:
        app.exception_handler(IntegrityError)(answering(590))
    await serving(app)

    for flush in FLUSH:
        reply = await call(app, "POST", "/users", query=f"flush={flush}")
        assert reply.status == (590 if handled else 409)
    assert heard == [("true", IntegrityError), ("false", IntegrityError)]


@pytest.mark.parametrize("flush", FLUSH)
async def test_a_handler_that_answers_success_does_not_store_anything(
    app: HawkAPI, serving, stored, flush: str
) -> None:
    """Whatever it says, the transaction that failed stays undone."""
    app.exception_handler(IntegrityError)(answering(200))
    await serving(app)

    reply = await call(app, "POST", "/users", query=f"flush={flush}")

    assert b"original" not in reply.body
    assert app.state.db.checked_out == 0
    assert await stored() == ["ada"]
