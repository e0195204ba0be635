"""Handlers, WebSocket handlers too, may take the application's Database as a parameter."""

from __future__ import annotations

import pytest
from hawkapi import HawkAPI, WebSocket
from hawkapi.routing import Router

from asgi import call
from hawkapi_sqlalchemy.core import ConfigurationError, Database
from schema import User


async def connect(app: HawkAPI, path: str) -> list[dict]:
    """Open a WebSocket, and answer what the application sent until it had ended."""
    sent: list[dict] = []
    incoming = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

    async def receive() -> dict:
        return incoming.pop(0)

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return sent


async def test_handlers_get_the_database_of_their_application(
    new_app, stored, other_url: str
) -> None:
    apps = {"one": new_app(), "two": new_app(where=other_url)}
    for app in apps.values():
        router = Router(prefix="/routed")

        @app.post("/users")
        @router.post("/users")
        async def create(email: str, db: Database) -> dict:
            async with db.session() as session:
                session.add(User(email=email))
            return {}

        app.include_router(router)

    for name, app in apps.items():
        assert (await call(app, "POST", "/users", query=f"email={name}")).status == 201
        path = "/routed/users"
        assert (await call(app, "POST", path, query=f"email={name}-routed")).status == 201

    assert await stored() == ["one", "one-routed"]
    assert await stored(other_url) == ["two", "two-routed"]


async def test_websocket_handlers_get_the_database_of_their_application(
    new_app, stored, other_url: str
) -> None:
    apps = {"one": new_app(), "two": new_app(where=other_url)}
    for name, app in apps.items():

        @app.websocket("/live")
        async def live(ws: WebSocket, db: Database, name: str = name) -> None:
            await ws.accept()
            async with db.session() as session:
                session.add(User(email=name))
            await ws.send_text("stored")

    for app in apps.values():
        sent = await connect(app, "/live")
        assert [message["type"] for message in sent] == ["websocket.accept", "websocket.send"]
        assert app.state.db.checked_out == 0

    assert await stored() == ["one"]
    assert await stored(other_url) == ["two"]


async def test_after_a_second_init_database_handlers_get_the_new_one(
    new_app, other_url: str
) -> None:
    app = new_app()
    given: list[Database] = []

    @app.get("/")
    async def handler(db: Database) -> dict:
        given.append(db)
        return {}

    await call(app, "GET", "/")
    first = app.state.db
    new_app(on=app, where=other_url)
    await call(app, "GET", "/")

    assert given == [first, app.state.db]
    assert first is not app.state.db


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("routed", [False, True])
def test_a_handler_registered_before_init_database_is_refused(new_app, routed: bool) -> None:
    """HawkAPI would take its parameter for one of the query string."""
    app = HawkAPI()
    router = Router()

    @(router if routed else app).get("/early")
    async def too_early(db: Database) -> dict:
        return {}

    app.include_router(router)

    with pytest.raises(ConfigurationError, match=r"'too_early'.*init_database"):
        new_app(on=app)
