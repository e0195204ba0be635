"""What a session dependency is to HawkAPI, and to code that awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hawkapi import Depends, HawkAPI, HTTPException, Request
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import get_replica_session, get_session, session_for
from schema import User

DEPENDENCIES = [
    pytest.param(get_session, id="get_session"),
    pytest.param(get_replica_session, id="get_replica_session"),
    pytest.param(session_for("primary"), id="session_for"),
    pytest.param(session_for("primary", commit=False), id="session_for-without-commit"),
]


@pytest.mark.parametrize("dependency", DEPENDENCIES)
async def test_awaiting_it_gives_the_session_that_the_dependency_gives(
    app: HawkAPI, dependency: Callable
) -> None:
    given: list[AsyncSession] = []

    @app.get("/")
    async def handler(request: Request, session: AsyncSession = Depends(dependency)) -> None:
        given.append(session)
        given.append(await dependency(request))
        given.extend(await asyncio.gather(dependency(request), dependency(request)))
        given.append(await asyncio.wait_for(dependency(request), 1))

    assert (await call(app, "GET", "/")).status == 204
    assert len(given) == 5
    assert all(each is given[0] for each in given)


@pytest.mark.parametrize("dependency", DEPENDENCIES)
async def test_without_a_database_awaiting_it_says_what_to_do(dependency: Callable) -> None:
    app = HawkAPI()

    @app.get("/")
    async def handler(request: Request) -> None:
        await dependency(request)

    reply = await call(app, "GET", "/")

    assert reply.status == 500
    assert "init_database" in reply.json()["detail"]


async def test_a_session_that_was_only_awaited_is_committed(app: HawkAPI, stored) -> None:
    @app.post("/")
    async def handler(request: Request) -> None:
        (await get_session(request)).add(User(email="ada"))

    await call(app, "POST", "/")

    assert await stored() == ["ada"]


async def test_one_that_is_awaited_inside_a_dependency_does_not_hide_an_exception(
    app: HawkAPI, stored
) -> None:
    """An exception answered below 400 is known by the dependency that HawkAPI does not resume."""

    async def add(request: Request) -> None:
        (await get_session(request)).add(User(email="ada"))

    @app.post("/")
    async def handler(
        added: None = Depends(add), session: AsyncSession = Depends(get_session)
    ) -> None:
        await session.flush()
        raise HTTPException(303)

    assert (await call(app, "POST", "/")).status == 303
    assert await stored() == []


@pytest.mark.parametrize("query", ["_resumed=false", "_resumed=0", "_resumed="])
async def test_a_client_cannot_choose_how_it_is_called(app: HawkAPI, stored, query: str) -> None:
    @app.post("/")
    async def handler(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()
        raise HTTPException(303)

    assert (await call(app, "POST", "/", query=query)).status == 303
    assert await stored() == []


def test_the_documentation_of_the_api_shows_nothing_of_it(app: HawkAPI) -> None:
    @app.get("/")
    async def handler(
        one: AsyncSession = Depends(get_session),
        two: AsyncSession = Depends(session_for("primary")),
    ) -> None: ...

    operation = app.openapi()["paths"]["/"]["get"]

    assert not operation.get("parameters")
    assert "_resumed" not in str(app.openapi())
