"""A request that needs no database pays nothing for it, and its messages pass as they are."""

from __future__ import annotations

from typing import Any

import pytest
from hawkapi import Depends, HawkAPI, HTTPException, Request
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Message, Reply, call
from hawkapi_sqlalchemy.core import get_session
from hawkapi_sqlalchemy.core.web.unit_of_work import UnitOfWork
from schema import User


@pytest.fixture
def without_unit_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test where a unit of work is made."""

    def refuse(self: UnitOfWork, *args: object) -> None:
        pytest.fail("a unit of work was made")

    monkeypatch.setattr(UnitOfWork, "__init__", refuse)


@pytest.fixture
def pool_events(app: HawkAPI) -> list[str]:
    """What happens at the pool: connections opened and checked out."""
    seen: list[str] = []
    engine = app.state.db.engines["primary"].engine.sync_engine
    event.listen(engine, "do_connect", lambda *_: seen.append("connect"))
    event.listen(engine.pool, "checkout", lambda *_: seen.append("checkout"))
    return seen


def assert_same(left: list[Message], right: list[Message]) -> None:
    """Both are the very same dictionaries, unchanged, in the same order."""
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one is other


@pytest.mark.parametrize("path", ["/plain", "/refused", "/broken", "/missing", "/livez"])
@pytest.mark.usefixtures("without_unit_of_work")
async def test_a_route_without_a_database_makes_no_unit_of_work_and_opens_no_connection(
    app: HawkAPI, pool_events: list[str], path: str
) -> None:
    @app.get("/plain")
    async def plain() -> dict:
        return {"plain": True}

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(403)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    expected = {"/plain": 200, "/refused": 403, "/broken": 500, "/missing": 404, "/livez": 200}
    reply = await call(app, "GET", path)

    assert reply.status == expected[path]
    assert pool_events == []
    assert app.state.db.engines["primary"].engine.sync_engine.pool.checkedin() == 0


@pytest.mark.usefixtures("without_unit_of_work")
async def test_a_mounted_application_that_asks_for_no_session_makes_no_unit_of_work(
    app: HawkAPI, pool_events: list[str]
) -> None:
    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"raw"})

    app.mount("/raw", mounted)

    reply = await call(app, "GET", "/raw/anything")

    assert (reply.status, reply.body) == (200, b"raw")
    assert pool_events == []


async def test_a_session_that_runs_no_statement_opens_no_connection(
    app: HawkAPI, pool_events: list[str]
) -> None:
    @app.post("/idle")
    async def idle(session: AsyncSession = Depends(get_session)) -> dict:
        return {"idle": not session.in_transaction()}

    assert (await call(app, "POST", "/idle")).status == 201
    assert pool_events == []


async def test_the_messages_of_a_response_that_was_committed_pass_unchanged(
    app: HawkAPI, stored
) -> None:
    """Ours sends no copy: what other middleware knows a message by, its identity, is kept."""
    messages: list[Message] = [
        {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"yes")]},
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.body", "body": b"two"},
    ]
    copies = [dict(each) for each in messages]

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        session = await get_session(Request(scope, receive))
        session.add(User(email="ada"))
        for message in messages:
            await send(message)

    app.mount("/raw", mounted)

    reply = await call(app, "POST", "/raw/")

    assert await stored() == ["ada"]
    assert_same(messages, reply.messages)
    assert messages == copies


@pytest.mark.usefixtures("without_unit_of_work")
async def test_every_message_of_a_stream_passes_unchanged_and_at_once(app: HawkAPI) -> None:
    """A mounted application's, with types that we do not know among them."""
    messages: list[Message] = [
        {"type": "http.response.debug", "info": {}},
        {"type": "http.response.start", "status": 200, "headers": [], "trailers": True},
        {"type": "http.response.body", "body": b"one", "more_body": True},
        {"type": "http.response.pathsend", "path": "somewhere"},
        {"type": "http.response.body", "body": b"two", "more_body": False},
        {"type": "http.response.trailers", "headers": [(b"x-last", b"yes")]},
    ]
    copies = [dict(each) for each in messages]
    reply = Reply()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        for number, message in enumerate(messages, start=1):
            await send(message)
            assert len(reply.messages) == number

    app.mount("/stream", stream)

    await call(app, "GET", "/stream/", reply=reply)

    assert_same(messages, reply.messages)
    assert messages == copies


@pytest.mark.usefixtures("without_unit_of_work")
async def test_what_the_server_says_reaches_the_inside_unchanged(app: HawkAPI) -> None:
    pending: list[Message] = [
        {"type": "http.request", "body": b"one", "more_body": True},
        {"type": "http.request", "body": b"two", "more_body": False},
        {"type": "http.disconnect"},
    ]
    given = list(pending)
    received: list[Message] = []

    async def receive() -> Message:
        return pending.pop(0)

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        received.extend([await receive() for _ in range(3)])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    app.mount("/reads", reads)

    assert (await call(app, "POST", "/reads/", receive=receive)).status == 204
    assert_same(given, received)
