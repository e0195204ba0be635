"""A mounted HawkAPI application without a database of its own is promised the same."""

from __future__ import annotations

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI
from hawkapi.di import Container
from hawkapi.middleware import Middleware
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import ConfigurationError, get_session, init_database
from schema import User


class Hooked(Middleware):
    """Holds the response back until the background tasks have run."""

    async def after_response(self, request, response):
        return None


@pytest.fixture
def ran() -> list[str]:
    return []


@pytest.fixture
def mounted(app: HawkAPI, ran: list[str]) -> HawkAPI:
    inner = HawkAPI(debug=True)
    inner.add_middleware(Hooked)
    app.mount("/inner", inner)

    @inner.post("/users")
    async def create(
        tasks: BackgroundTasks, flush: bool = False, session: AsyncSession = Depends(get_session)
    ) -> dict:
        session.add(User(email="ada"))
        if flush:
            await session.flush()
        tasks.add_task(ran.append, "task")
        return {"ok": True}

    return inner


@pytest.mark.parametrize("flush", ["false", "true"], ids=["commit", "flush"])
async def test_its_duplicate_is_refused_without_sql_in_the_answer(
    app: HawkAPI, mounted: HawkAPI, stored, flush: str
) -> None:
    first = await call(app, "POST", "/inner/users", query=f"flush={flush}")
    second = await call(app, "POST", "/inner/users", query=f"flush={flush}")

    assert (first.status, second.status) == (201, 409)
    assert b"INSERT" not in second.body
    assert await stored() == ["ada"]


async def test_its_background_tasks_do_not_run_after_a_failed_commit(
    app: HawkAPI, mounted: HawkAPI, ran: list[str]
) -> None:
    await call(app, "POST", "/inner/users")
    assert ran == ["task"]
    assert (await call(app, "POST", "/inner/users")).status == 409
    assert ran == ["task"]


async def test_it_can_also_be_served_by_itself(app: HawkAPI, mounted: HawkAPI) -> None:
    """There it has no database, and says so."""
    await call(app, "POST", "/inner/users")

    assert (await call(mounted, "GET", "/livez")).status == 200
    reply = await call(mounted, "POST", "/users")
    assert reply.status == 500
    assert b"init_database" in reply.body


def test_two_applications_with_one_container_are_refused() -> None:
    container = Container()
    init_database(HawkAPI(container=container), url="sqlite+aiosqlite://")

    with pytest.raises(ConfigurationError, match="container of its own"):
        init_database(HawkAPI(container=container), url="sqlite+aiosqlite://")


async def test_a_route_with_middleware_that_comes_after_the_first_request_has_its_gate(
    app: HawkAPI, ran: list[str]
) -> None:
    assert (await call(app, "GET", "/livez")).status == 200

    @app.post("/late", middleware=[Hooked])
    async def late(tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        tasks.add_task(ran.append, "task")
        return {"ok": True}

    statuses = [(await call(app, "POST", "/late")).status for _ in range(2)]
    assert (statuses, ran) == ([201, 409], ["task"])
