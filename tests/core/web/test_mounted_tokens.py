"""Mounted applications: whose writes a token tells of."""

from __future__ import annotations

import asyncio
import contextvars

import pytest
from hawkapi import Depends, HawkAPI, Request
from hawkapi.middleware import Middleware
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from calls import recording, started_in
from client_tokens import HEADER, SECRET, marks, note, pairs, seen, token, with_routes, written
from hawkapi_sqlalchemy import core
from hawkapi_sqlalchemy.core import ReadYourWrites, get_session, on_commit
from hawkapi_sqlalchemy.core.routing.freshness import Freshness, current_freshness
from hawkapi_sqlalchemy.core.routing.positions import WalPosition
from hawkapi_sqlalchemy.core.routing.token import Tokens
from schema import User

pytestmark = pytest.mark.dialects("sqlite")


def note_if_any(lsn: int) -> None:
    """Note as a COMMIT does, which finds no Freshness where nothing follows clients."""
    if current_freshness.get() is not None:
        note(WalPosition(1, lsn))


class Logs(Middleware):
    """Writes to the database of the application that it belongs to."""

    async def before_request(self, request: Request) -> None:
        session = await get_session(request)
        session.add(User(email="log"))
        on_commit(session, note_if_any, 5)


def add_users(app: HawkAPI) -> HawkAPI:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        on_commit(session, note_if_any, 900)
        return {}

    return app


async def test_one_without_a_database_shares_its_parents(following) -> None:
    app = following()
    app.mount("/inner", add_users(with_routes(HawkAPI())))

    reply = await call(app, "POST", "/inner/users")

    assert marks(reply) == {"primary": WalPosition(1, 900)}
    sent = [(HEADER.encode(), token(reply).encode())]
    required = await call(app, "GET", "/inner/required", headers=sent)
    assert required.json() == {"required": str(WalPosition(1, 900))}


async def test_a_raw_one_that_sends_from_a_task_shares_its_parents(following) -> None:
    app = following()

    async def grouped(scope, receive, send) -> None:
        note(WalPosition(1, 5))
        start = {"type": "http.response.start", "status": 200, "headers": []}
        async with asyncio.TaskGroup() as group:
            group.create_task(send(start), context=contextvars.Context())
        await send({"type": "http.response.body", "body": b""})

    app.mount("/grouped", grouped)
    assert marks(await call(app, "GET", "/grouped")) == {"primary": WalPosition(1, 5)}


async def test_the_writes_of_one_with_its_own_database_are_none_of_its_parents(
    following, new_app, stored, other_url: str
) -> None:
    """Its primary is another one, with positions of its own."""
    parent, inner = following(), add_users(new_app(where=other_url))
    parent.mount("/inner", inner)

    reply = await call(parent, "POST", "/inner/users")

    assert reply.status == 201
    assert await stored(other_url) == ["ada"]
    assert pairs(reply, HEADER) == pairs(reply, "set-cookie") == []


async def test_the_parents_own_writes_are_told_all_the_same(
    following, new_app, stored, other_url: str
) -> None:
    """The parent commits while the start of the mounted application's response passes."""
    parent, inner = following(), add_users(new_app(where=other_url))
    parent.add_middleware(Logs)
    parent.mount("/inner", inner)

    reply = await call(parent, "POST", "/inner/users")

    assert (await stored(), await stored(other_url)) == (["log"], ["ada"])
    assert marks(reply) == {"primary": WalPosition(1, 5)}


async def test_both_follow_their_clients_by_carriers_of_their_own(
    following, new_app, other_url: str
) -> None:
    parent = following()
    settings = ReadYourWrites(secret="i" * 32, cookie="inner_position", header="X-Inner")
    inner = add_users(new_app(where=other_url, options={"read_your_writes": settings}))
    parent.add_middleware(Logs)
    parent.mount("/inner", inner)

    reply = await call(parent, "POST", "/inner/users")

    assert marks(reply) == {"primary": WalPosition(1, 5)}
    loaded = Tokens("i" * 32, 30).loads(*pairs(reply, "x-inner"), None)
    assert loaded is not None
    assert loaded[0] == {"primary": WalPosition(1, 900)}
    names = [line.partition("=")[0] for line in pairs(reply, "set-cookie")]
    assert names == ["inner_position", "hawkapi_db_position"]


async def test_a_parent_that_follows_nobody_may_mount_one_that_does(
    new_app, following, other_url: str
) -> None:
    parent, inner = new_app(where=other_url), following()
    parent.add_middleware(Logs)
    parent.mount("/inner", inner)
    seen_outside: list[Freshness | None] = []

    class Looks(Middleware):
        async def __call__(self, scope, receive, send) -> None:
            await self.app(scope, receive, send)
            seen_outside.append(current_freshness.get())

    parent.add_middleware(Looks)
    reply = await call(parent, "POST", "/inner/write", query="lsn=5")

    assert marks(reply) == {"primary": WalPosition(1, 5)}
    assert seen_outside == [None]


async def test_two_applications_in_one_process_do_not_take_each_others_tokens(
    following, new_app
) -> None:
    one, other = following(), following(secret="o" * 32)

    assert await seen(other, (HEADER, token(await written(one)))) is None
    assert await seen(one, (HEADER, token(await written(one)))) == str(WalPosition(1, 5))
    assert SECRET != "o" * 32


async def test_one_with_its_own_database_runs_no_function_more_where_nobody_follows(
    new_app, other_url: str
) -> None:
    parent, inner = new_app(), new_app(where=other_url)

    @inner.get("/plain")
    async def plain() -> dict:
        return {}

    parent.mount("/inner", inner)
    for _ in range(2):
        with recording() as codes:
            await call(parent, "GET", "/inner/plain")

    assert not {"TokenGate.__init__", "TokenGate.send"} & set(started_in(codes, core))
