"""Mounted ASGI applications: their messages pass untouched, their sessions commit in time."""

from __future__ import annotations

import asyncio
import json

from hawkapi import Depends, HawkAPI, Request
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Reply, body_then_silence, call
from hawkapi_sqlalchemy.core import get_session
from schema import User

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-original", b"yes")]}


def chunk(text: bytes, *, more: bool = True) -> dict:
    return {"type": "http.response.body", "body": text, "more_body": more}


async def test_a_stream_passes_untouched_message_by_message(app: HawkAPI) -> None:
    messages = [START, chunk(b"one"), chunk(b"two"), chunk(b"", more=False)]
    reply = Reply()

    async def stream(scope, receive, send) -> None:
        for position, message in enumerate(messages, start=1):
            await send(message)
            assert len(reply.messages) == position

    app.mount("/stream", stream)
    await call(app, "GET", "/stream", reply=reply)

    assert len(reply.messages) == len(messages)
    assert all(got is sent for got, sent in zip(reply.messages, messages, strict=True))


async def test_a_session_asked_for_inside_commits_before_the_start(app: HawkAPI, stored) -> None:
    seen: list[list[str]] = []

    async def stream(scope, receive, send) -> None:
        session = await get_session(Request(scope, receive))
        session.add(User(email="ada"))
        await send(START)
        for text in (b"one", b"two"):
            await send(chunk(text))
        await send(chunk(b"", more=False))

    async def look() -> None:
        seen.append(await stored())

    app.mount("/stream", stream)
    reply = await call(app, "GET", "/stream", on_start=look)

    assert reply.chunks == [b"one", b"two", b""]
    assert seen == [["ada"]]


async def test_a_failed_commit_stops_the_stream(app: HawkAPI, existing, stored) -> None:
    went_on: list[str] = []

    async def stream(scope, receive, send) -> None:
        session = await get_session(Request(scope, receive))
        session.add(User(email="ada"))
        await send(START)
        went_on.append("after the start")

    await existing("ada")
    app.mount("/stream", stream)
    reply = await call(app, "GET", "/stream")

    assert reply.status == 409
    assert "x-original" not in reply.headers
    assert went_on == []


async def test_nothing_follows_a_replaced_response(app: HawkAPI, existing) -> None:
    """An application that catches everything, and goes on, is not heard any more."""

    async def stubborn(scope, receive, send) -> None:
        session = await get_session(Request(scope, receive))
        session.add(User(email="ada"))
        for message in (START, chunk(b"original"), START, chunk(b"original", more=False)):
            try:
                await send(message)
            except Exception:  # noqa: BLE001
                continue

    await existing("ada")
    app.mount("/stubborn", stubborn)
    reply = await call(app, "GET", "/stubborn")

    assert reply.status == 409
    assert reply.json()["status"] == 409
    assert len(reply.messages) == 2


async def test_a_response_replaced_inside_a_task_group_ends_the_request(
    app: HawkAPI, existing
) -> None:
    """Streaming responses of other frameworks send from a task group, which wraps exceptions."""

    async def grouped(scope, receive, send) -> None:
        session = await get_session(Request(scope, receive))
        session.add(User(email="ada"))
        async with asyncio.TaskGroup() as group:
            group.create_task(send(START))

    await existing("ada")
    app.mount("/grouped", grouped)

    assert (await call(app, "GET", "/grouped")).status == 409


async def test_the_body_may_be_read_after_the_start(app: HawkAPI, stored) -> None:
    """Looking for a disconnected client takes no message away from the application."""

    async def echo(scope, receive, send) -> None:
        session = await get_session(Request(scope, receive))
        session.add(User(email="ada"))
        await send(START)
        message = await receive()
        await send(chunk(message["body"], more=False))

    app.mount("/echo", echo)
    reply = await call(app, "POST", "/echo", receive=body_then_silence(b"said late"))

    assert reply.body == b"said late"
    assert await stored() == ["ada"]


async def test_an_application_that_never_answers_is_rolled_back(app: HawkAPI, stored) -> None:
    async def silent(scope, receive, send) -> None:
        session = await get_session(Request(scope, receive))
        session.add(User(email="ada"))
        await session.flush()

    app.mount("/silent", silent)
    reply = await call(app, "GET", "/silent")

    assert reply.messages == []
    assert app.state.db.checked_out == 0
    assert await stored() == []


async def test_a_mounted_hawkapi_without_a_database_uses_its_parents(
    app: HawkAPI, with_users, existing, stored
) -> None:
    app.mount("/inner", with_users(HawkAPI()))
    await existing("bob")

    created = await call(app, "POST", "/inner/users", query="email=ada")
    refused = await call(app, "POST", "/inner/users", query="email=bob")

    assert (created.status, refused.status) == (201, 409)
    assert await stored() == ["ada", "bob"]


async def test_a_mounted_hawkapi_with_its_own_database_replaces_its_responses_itself(
    new_app, with_users, existing, stored, other_url: str
) -> None:
    """Two of our middlewares stand around it: one transaction each, one response."""
    parent, inner = new_app(), with_users(new_app(where=other_url))
    parent.mount("/inner", inner)
    await existing("bob", where=other_url)

    created = await call(parent, "POST", "/inner/users", query="email=ada")
    refused = await call(parent, "POST", "/inner/users", query="email=bob")

    assert (created.status, refused.status) == (201, 409)
    assert json.loads(refused.body)["status"] == 409
    assert await stored() == []
    assert await stored(other_url) == ["ada", "bob"]


async def test_a_request_may_write_to_both_its_parents_database_and_its_own(
    new_app, stored, other_url: str
) -> None:
    """A middleware of the parent has written before the mounted application does."""
    from hawkapi.middleware import Middleware

    parent, inner = new_app(), new_app(where=other_url)

    class Logs(Middleware):
        async def before_request(self, request: Request) -> None:
            (await get_session(request)).add(User(email="log"))

    parent.add_middleware(Logs)
    parent.mount("/inner", inner)

    @inner.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        return {}

    assert (await call(parent, "POST", "/inner/users")).status == 201
    assert await stored() == ["log"]
    assert await stored(other_url) == ["ada"]
