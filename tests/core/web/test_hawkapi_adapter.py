"""Which private names of HawkAPI are used, and that their loss takes no promise away."""

from __future__ import annotations

import ast
import inspect

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, Request, Response, Route
from hawkapi.middleware import Middleware
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import get_session, web
from hawkapi_sqlalchemy.core.web import _hawkapi
from schema import User

PRIVATE = {"_exception_handlers", "_handle_exception", "_mounts"}


def private_names(module) -> set[str]:
    """The private names that a module reads from objects that are not its own."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Attribute) and not (
            isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"}
        ):
            found.add(node.attr)
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"getattr", "setattr", "hasattr"}
            and isinstance(node.args[1], ast.Constant)
        ):
            found.add(node.args[1].value)
    return {name for name in found if name.startswith("_") and not name.startswith("__")}


def test_the_adapter_is_the_only_place_that_uses_private_names() -> None:
    from hawkapi_sqlalchemy.core.web import (
        dependencies,
        exchange,
        gate,
        middleware,
        problems,
        readiness,
        routes,
        setup,
        startup,
        state,
        unit_of_work,
    )

    for module in (
        web, dependencies, exchange, gate, middleware, problems, readiness, routes, setup, startup,
        state, unit_of_work,
    ):  # fmt: skip
        assert private_names(module) == set(), module.__name__
    assert private_names(_hawkapi) == PRIVATE


def test_the_private_names_exist_in_the_installed_hawkapi() -> None:
    """Without them the adapter falls back; whoever renames one is to be heard."""
    app = HawkAPI()

    for name in PRIVATE:
        assert hasattr(app, name)
    assert "app" in vars(Middleware(app))
    assert Route.__dataclass_params__.frozen  # hence `object.__setattr__` on a route


@pytest.fixture
def without_private_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter as it is on a HawkAPI that has renamed all of them."""

    def without(target, name: str, *default):
        if name in PRIVATE and isinstance(target, HawkAPI):
            name = f"renamed{name}"
        return getattr(target, name, *default)

    monkeypatch.setattr(_hawkapi, "getattr", without, raising=False)


def add_route(app: HawkAPI, ran: list[str]) -> None:
    @app.post("/users")
    async def create(
        tasks: BackgroundTasks, flush: bool = False, session: AsyncSession = Depends(get_session)
    ) -> dict:
        tasks.add_task(ran.append, "task")
        session.add(User(email="ada"))
        if flush:
            await session.flush()
        return {"original": True}


@pytest.mark.usefixtures("without_private_names")
async def test_without_them_a_failed_commit_still_replaces_the_response(
    new_app, existing, stored
) -> None:
    app, ran = new_app(), []
    add_route(app, ran)

    assert (await call(app, "POST", "/users")).status == 201
    assert ran == ["task"]
    for flush in ("false", "true"):
        reply = await call(app, "POST", "/users", query=f"flush={flush}")
        assert reply.status == reply.json()["status"] == 409
        assert b"original" not in reply.body
        if flush == "false":
            assert ran == ["task"]
    assert await stored() == ["ada"]


@pytest.mark.usefixtures("without_private_names")
async def test_without_them_our_own_answer_stands_in_for_the_applications(
    new_app, existing
) -> None:
    """What is lost is the application's say at COMMIT; nothing else."""
    app = HawkAPI()

    @app.exception_handler(IntegrityError)
    def handler(request: Request, error: IntegrityError) -> Response:
        return Response(status_code=418)

    new_app(on=app)
    add_route(app, [])
    await existing("ada")

    assert (await call(app, "POST", "/users", query="flush=true")).status == 418
    assert (await call(app, "POST", "/users")).status == 409


async def test_middleware_that_does_not_say_what_is_inside_it_is_stood_in_front_of(
    app: HawkAPI, existing
) -> None:
    """The chain is followed as far as it is public; the promise holds from there."""

    class Opaque(Middleware):
        def __init__(self, app) -> None:
            self._inside = app

        async def __call__(self, scope, receive, send) -> None:
            await self._inside(scope, receive, send)

    app.add_middleware(Opaque)
    add_route(app, [])
    await existing("ada")

    assert (await call(app, "POST", "/users")).status == 409


def test_without_the_table_of_mounts_no_application_is_adopted() -> None:
    app = HawkAPI()
    inner, innermost = HawkAPI(), HawkAPI()
    app.mount("/inner", inner)
    inner.mount("/innermost", innermost)
    assert _hawkapi.mounted_applications(app) == [inner, innermost]

    del app._mounts

    assert _hawkapi.mounted_applications(app) == []
