"""The promises over a real socket, with a real server."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from hawkapi import Depends, HawkAPI, Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import DEADLINE, Served, serve, until
from hawkapi_sqlalchemy.core import get_session
from schema import User


@pytest.fixture
def with_list(with_users):
    """Give an application `GET /users` beside `POST /users`."""

    def add(app: HawkAPI) -> HawkAPI:
        @app.get("/users")
        async def show(session: AsyncSession = Depends(get_session)) -> list[str]:
            return list(await session.scalars(select(User.email).order_by(User.email)))

        return with_users(app)

    return add


async def test_create_duplicate_and_list_on_one_connection(app: HawkAPI, with_list) -> None:
    """A replaced response is well formed: the next one on the same socket is read right."""
    async with serve(with_list(app)) as served, httpx.AsyncClient(base_url=served.url) as client:
        created = await client.post("/users", params={"email": "ada"})
        duplicate = await client.post("/users", params={"email": "ada"})
        listed = await client.get("/users")
        assert served.connections == 1

    assert (created.status_code, created.json()) == (201, {"created": "ada"})
    assert duplicate.status_code == duplicate.json()["status"] == 409
    assert duplicate.headers["content-type"] == "application/problem+json"
    assert duplicate.headers["content-length"] == str(len(duplicate.content))
    assert listed.json() == ["ada"]


async def test_a_replaced_response_to_head_leaves_the_connection_usable(
    app: HawkAPI, existing
) -> None:
    @app.get("/visits")
    async def visit(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        return {}

    await existing("ada")
    async with serve(app) as served, httpx.AsyncClient(base_url=served.url) as client:
        replies = [await client.head("/visits") for _ in range(2)]
        assert served.connections == 1

    assert [(reply.status_code, reply.content) for reply in replies] == [(409, b"")] * 2


async def test_200_requests_at_once_on_five_connections_are_all_stored(
    new_app, with_users, stored
) -> None:
    app = with_users(new_app(pool_size=5, max_overflow=0, pool_timeout=DEADLINE))
    limits = httpx.Limits(max_connections=200)
    async with (
        serve(app) as served,
        httpx.AsyncClient(base_url=served.url, limits=limits, timeout=DEADLINE) as client,
    ):
        replies = await asyncio.gather(
            *(client.post("/users", params={"email": f"{n:03}"}) for n in range(200))
        )

    assert {reply.status_code for reply in replies} == {201}
    assert await stored() == [f"{number:03}" for number in range(200)]


async def send_and_leave(served: Served, request: bytes, entered: asyncio.Event) -> None:
    """Send a request, and close the socket once its handler runs and the server has noticed."""
    _, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(request)
    await writer.drain()
    await asyncio.wait_for(entered.wait(), DEADLINE)
    writer.close()
    await writer.wait_closed()
    await until(lambda: served.connections == 0)


@pytest.mark.parametrize("read", [True, False], ids=["body-read", "body-unread"])
async def test_a_client_that_left_before_commit_is_rolled_back(
    app: HawkAPI, stored, read: bool
) -> None:
    """Nobody would learn that its write was stored."""
    entered, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.post("/users")
    async def create(request: Request, session: AsyncSession = Depends(get_session)) -> dict:
        if read:
            assert await request.body() == b"body"
        session.add(User(email="ada"))
        await session.flush()
        entered.set()
        await may_end.wait()
        ended.set()
        return {}

    request = b"POST /users HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
    async with serve(app) as served:
        await send_and_leave(served, request, entered)
        may_end.set()
        await asyncio.wait_for(ended.wait(), DEADLINE)
        await until(lambda: app.state.db.checked_out == 0)

    assert await stored() == []


async def test_a_client_that_stays_is_not_taken_for_gone(app: HawkAPI, with_users, stored) -> None:
    """Neither a pipelined request nor a body that was not read looks like a closed socket."""
    async with serve(with_users(app)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        for name in ("ada", "bob"):
            writer.write(
                f"POST /users?email={name} HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"
                .encode()
            )  # fmt: skip
        await writer.drain()
        for name in ("ada", "bob"):
            async with asyncio.timeout(DEADLINE):
                answer = await reader.readuntil(f'"{name}"}}'.encode())
            assert answer.startswith(b"HTTP/1.1 201")
        writer.close()
        await writer.wait_closed()

    assert await stored() == ["ada", "bob"]
