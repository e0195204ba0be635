"""The look for a disconnect before COMMIT takes nothing away from who receives later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, Request
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Message, call
from hawkapi_sqlalchemy.core import get_session
from schema import User

BODY: Message = {"type": "http.request", "body": b"one", "more_body": True}
REST: Message = {"type": "http.request", "body": b"two", "more_body": False}
GONE: Message = {"type": "http.disconnect"}


class Client:
    """A client that has sent all it will ever send."""

    def __init__(self, *said: Message) -> None:
        self.said = list(said)

    async def receive(self) -> Message:
        if not self.said:
            await asyncio.Event().wait()
        return self.said.pop(0)


def add_users(app: HawkAPI) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        return {}


async def test_a_body_that_was_only_looked_at_is_read_by_a_background_task(
    app: HawkAPI, stored
) -> None:
    read: list[bytes] = []

    @app.post("/users")
    async def create(
        request: Request, tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)
    ) -> dict:
        async def read_late() -> None:
            read.append(await request.body())

        tasks.add_task(read_late)
        session.add(User(email="ada"))
        return {}

    reply = await call(app, "POST", "/users", receive=Client(BODY, REST).receive)

    assert reply.status == 201
    assert read == [b"onetwo"]
    assert await stored() == ["ada"]


async def test_messages_come_as_they_were_sent_in_order_and_once(app: HawkAPI) -> None:
    received: list[Message] = []
    said = [BODY, REST, GONE]

    async def reads_late(scope, receive, send) -> None:
        session = await get_session(Request(scope, receive))
        session.add(User(email="ada"))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        received.extend([await receive() for _ in said])
        await send({"type": "http.response.body"})

    app.mount("/late", reads_late)

    await call(app, "POST", "/late", receive=Client(*said).receive)

    assert all(one is other for one, other in zip(received, said, strict=True))


@pytest.mark.parametrize("said", [(GONE,), (REST, GONE)], ids=["at-once", "behind-a-body"])
async def test_an_application_with_a_database_inside_another_hears_of_it_too(
    app: HawkAPI, new_app, other_url: str, stored, said: tuple[Message, ...]
) -> None:
    inner = new_app(where=other_url)
    add_users(inner)
    app.mount("/inner", inner)

    await call(app, "POST", "/inner/users", receive=Client(*said).receive)
    assert await stored(other_url) == []

    await call(app, "POST", "/inner/users", receive=Client(REST).receive)
    assert await stored(other_url) == ["ada"]


@pytest.mark.parametrize("path", ["/users", "/inner/users"])
async def test_a_server_whose_receive_is_no_coroutine_function_is_not_asked(
    app: HawkAPI, new_app, url: str, stored, path: str
) -> None:
    """Its answer may be a future of the server's own, which somebody would have to await."""

    def receive() -> Awaitable[Message]:
        pytest.fail("it was asked")

    inner = new_app(where=url)
    add_users(app)
    add_users(inner)
    app.mount("/inner", inner)

    assert (await call(app, "POST", path, receive=receive)).status == 201
    assert await stored() == ["ada"]
