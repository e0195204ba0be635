"""Each application uses its own database, however many there are in a process."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, Request, Response
from hawkapi.middleware import Middleware
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseNotConfiguredError,
    get_replica_session,
    get_session,
    open_session,
    resolve_database,
    session_for,
)
from schema import User


@pytest.fixture
def two_apps(new_app, with_users, other_url: str) -> tuple[HawkAPI, HawkAPI]:
    """Two applications with different databases."""
    return with_users(new_app()), with_users(new_app(where=other_url))


async def test_interleaved_requests_write_to_their_own_database(
    two_apps, stored, other_url: str
) -> None:
    replies = await asyncio.gather(
        *(
            call(app, "POST", "/users", query=f"email={name}-{number}")
            for number in range(5)
            for app, name in zip(two_apps, ("one", "two"), strict=True)
        )
    )

    assert {reply.status for reply in replies} == {201}
    assert await stored() == [f"one-{number}" for number in range(5)]
    assert await stored(other_url) == [f"two-{number}" for number in range(5)]


async def test_a_plugin_finds_the_database_of_the_requests_application(
    two_apps, stored, other_url: str
) -> None:
    """`resolve_database(request.scope.get("app"))` is what other plugins do."""
    for app in two_apps:

        @app.post("/plugin")
        async def plugin(request: Request) -> dict:
            async with resolve_database(request.scope.get("app")).session() as session:
                session.add(User(email="plugin"))
            return {}

    await call(two_apps[0], "POST", "/plugin")
    assert await stored() == ["plugin"]
    assert await stored(other_url) == []
    await call(two_apps[1], "POST", "/plugin")
    assert await stored(other_url) == ["plugin"]


async def test_the_scope_names_the_application_everywhere(two_apps) -> None:
    """In middleware added later, in the handler, in a background task, in a mounted one."""
    seen: list[object] = []

    class Looks(Middleware):
        async def before_request(self, request: Request) -> None:
            seen.append(request.scope["app"])

    one, _ = two_apps
    one.add_middleware(Looks)

    @one.get("/look")
    async def look(request: Request, tasks: BackgroundTasks) -> dict:
        seen.append(request.scope["app"])
        tasks.add_task(lambda: seen.append(request.scope["app"]))
        return {}

    async def mounted(scope, receive, send) -> None:
        seen.append(scope["app"])
        await Response()(scope, receive, send)

    one.mount("/mounted", mounted)
    await call(one, "GET", "/look")
    await call(one, "GET", "/mounted")

    assert len(seen) == 5
    assert all(app is one for app in seen)


async def test_a_mounted_application_has_its_own_or_its_parents_database(
    two_apps, with_users, stored, other_url: str
) -> None:
    parent, with_its_own = two_apps
    parent.mount("/own", with_its_own)
    without = with_users(HawkAPI())
    parent.mount("/shared", without)
    seen: dict[str, object] = {}
    for path, app in (("/own", with_its_own), ("/shared", without)):

        @app.get("/look")
        async def look(request: Request, path: str = path) -> dict:
            seen[path] = request.scope["app"]
            return {}

        await call(parent, "GET", f"{path}/look")
        assert (await call(parent, "POST", f"{path}/users", query=f"email={path}")).status == 201
    assert (await call(parent, "POST", "/users", query="email=parent")).status == 201

    assert seen == {"/own": with_its_own, "/shared": parent}
    assert await stored() == ["/shared", "parent"]
    assert await stored(other_url) == ["/own"]


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    "dependency", [get_session, get_replica_session, session_for("primary", commit=False)]
)
async def test_without_a_database_the_answer_is_a_500_that_names_init_database(
    caplog: pytest.LogCaptureFixture, two_apps, dependency
) -> None:
    """Other applications of the process have one, and it is not taken."""
    app = HawkAPI()

    @app.get("/")
    async def handler(session: AsyncSession = Depends(dependency)) -> dict:
        return {}

    with caplog.at_level(logging.ERROR):
        reply = await call(app, "GET", "/")

    assert reply.status == 500
    assert "init_database(app" in reply.body.decode() + caplog.text


async def test_resolve_database_answers_the_applications_or_the_last_one(two_apps) -> None:
    one, two = two_apps

    assert resolve_database(one) is one.state.db
    assert resolve_database(two) is two.state.db
    assert isinstance(one.state.db, Database)
    assert resolve_database(None) is resolve_database() is two.state.db


@pytest.mark.dialects("sqlite")
async def test_resolve_database_never_answers_another_applications(two_apps) -> None:
    for stranger in (HawkAPI(), object()):
        with pytest.raises(DatabaseNotConfiguredError, match="init_database"):
            resolve_database(stranger)


async def test_open_session_works_on_the_given_application(
    two_apps, stored, other_url: str
) -> None:
    one, _ = two_apps
    async with open_session(one) as session:
        session.add(User(email="one"))
    async with open_session(None) as session:
        session.add(User(email="last"))

    assert await stored() == ["one"]
    assert await stored(other_url) == ["last"]


async def test_called_again_init_database_replaces_the_database(
    new_app, with_users, stored, other_url: str
) -> None:
    app = with_users(new_app())
    first = app.state.db
    assert (await call(app, "POST", "/users", query="email=one")).status == 201
    new_app(on=app, where=other_url)

    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(await stored(other_url))

    reply = await call(app, "POST", "/users", query="email=two", on_start=look)

    assert reply.status == 201
    assert app.state.db is not first
    assert resolve_database(app) is app.state.db
    assert await stored() == ["one"]
    # One middleware, one transaction: also after the second call COMMIT precedes the start.
    assert seen == [["two"]]
