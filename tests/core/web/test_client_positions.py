"""A response whose request has committed carries a token; any other is left alone."""

from __future__ import annotations

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from client_tokens import (
    COOKIE,
    HEADER,
    SECRET,
    cookie,
    marks,
    note,
    pairs,
    seen,
    token,
    with_routes,
    written,
)
from hawkapi_sqlalchemy.core import (
    ReadYourWrites,
    get_session,
    on_commit,
    session_for,
)
from hawkapi_sqlalchemy.core.routing.positions import WalPosition
from hawkapi_sqlalchemy.core.routing.token import LONGEST_TOKEN
from schema import User

pytestmark = pytest.mark.dialects("sqlite")


async def test_a_request_that_commits_is_answered_with_a_header_and_a_cookie(following) -> None:
    reply = await written(following())

    assert reply.status == 201
    assert cookie(reply) == f"{COOKIE}={token(reply)}"
    assert marks(reply) == {"primary": WalPosition(1, 5)}


@pytest.mark.parametrize("path", ["/untouched", "/missing"])
async def test_a_request_that_commits_nothing_is_answered_untouched(following, path: str) -> None:
    app = following()
    sent = [(HEADER.encode(), token(await written(app)).encode())]

    reply = await call(app, "GET", path, headers=sent)

    assert reply.messages == (await call(with_routes(HawkAPI()), "GET", path)).messages


async def test_the_start_of_a_response_without_a_commit_is_the_very_same_message(
    following,
) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": []}

    async def raw(scope, receive, send) -> None:
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    app = following()
    app.mount("/raw", raw)

    assert (await call(app, "GET", "/raw")).start is start


async def test_the_message_of_the_application_is_left_as_it_is(following) -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"yes")]}
    copy = {**start, "headers": list(start["headers"])}

    async def raw(scope, receive, send) -> None:
        note(None)
        await send(start)
        await send({"type": "http.response.body", "body": b""})

    app = following()
    app.mount("/raw", raw)
    reply = await call(app, "GET", "/raw")

    assert start == copy
    assert pairs(reply, "x-own") == ["yes"]
    assert len(pairs(reply, HEADER)) == 1


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({}, "Max-Age=30; Path=/; HttpOnly; Secure; SameSite=Lax"),
        ({"secure": False}, "Max-Age=30; Path=/; HttpOnly; SameSite=Lax"),
        ({"same_site": "strict"}, "Max-Age=30; Path=/; HttpOnly; Secure; SameSite=Strict"),
        ({"same_site": "none"}, "Max-Age=30; Path=/; HttpOnly; Secure; SameSite=None"),
        ({"max_age": 4.2}, "Max-Age=5; Path=/; HttpOnly; Secure; SameSite=Lax"),
    ],
)
async def test_the_cookie_has_its_attributes(following, settings: dict, attributes: str) -> None:
    (line,) = pairs(await written(following(**settings)), "set-cookie")

    assert line.partition("; ")[2] == attributes


async def test_a_carrier_that_is_left_out_is_neither_sent_nor_read(following) -> None:
    both = await written(following())
    with_header, with_cookie = following(cookie=None), following(header=None)

    assert pairs(await written(with_header), "set-cookie") == []
    assert pairs(await written(with_cookie), HEADER) == []
    assert await seen(with_header, ("cookie", cookie(both))) is None
    assert await seen(with_header, (HEADER, token(both))) == str(WalPosition(1, 5))
    assert await seen(with_cookie, (HEADER, token(both))) is None
    assert await seen(with_cookie, ("cookie", cookie(both))) == str(WalPosition(1, 5))


async def test_carriers_may_have_other_names(following) -> None:
    app = following(cookie="__Host-seen", header="X-Seen")
    reply = await written(app)

    (value,) = pairs(reply, "x-seen")
    assert cookie(reply) == f"__Host-seen={value}"
    assert await seen(app, ("X-SEEN", value)) == str(WalPosition(1, 5))


async def test_cookies_of_the_application_survive(following) -> None:
    app = following()

    async def raw(scope, receive, send) -> None:
        note(None)
        own = [(b"set-cookie", b"one=1"), (b"set-cookie", b"two=2; Path=/two")]
        await send({"type": "http.response.start", "status": 200, "headers": own})
        await send({"type": "http.response.body", "body": b""})

    app.mount("/raw", raw)
    lines = pairs(await call(app, "GET", "/raw"), "set-cookie")

    assert lines[:2] == ["one=1", "two=2; Path=/two"]
    assert len(lines) == 3
    assert lines[2].startswith(f"{COOKIE}=")


@pytest.mark.parametrize("status", [302, 403, 500])
async def test_an_error_response_after_an_explicit_commit_carries_the_token(
    following, status: int
) -> None:
    app = following()

    @app.post("/commits")
    async def commits() -> None:
        note(WalPosition(1, 5))
        if status == 500:
            raise RuntimeError
        raise HTTPException(status)

    reply = await call(app, "POST", "/commits")

    assert reply.status == status
    assert await seen(app, (HEADER, token(reply))) == str(WalPosition(1, 5))


async def test_what_is_noted_at_commit_is_in_the_response(following) -> None:
    app = following()

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        on_commit(session, note, WalPosition(1, 7))
        return {}

    reply = await call(app, "POST", "/users")
    assert await seen(app, (HEADER, token(reply))) == str(WalPosition(1, 7))


async def test_a_partial_commit_is_told_with_the_error(
    new_app, lone, url: str, other_url: str, deferred_orders
) -> None:
    await deferred_orders(other_url)
    app = new_app(
        databases={"primary": lone(url), "other": lone(other_url)},
        options={"read_your_writes": ReadYourWrites(secret=SECRET)},
    )
    with_routes(app)

    @app.post("/both")
    async def both(
        one: AsyncSession = Depends(get_session),
        two: AsyncSession = Depends(session_for("other")),
    ) -> dict:
        one.add(User(email="ada"))
        on_commit(one, note, WalPosition(1, 5))
        on_commit(two, note, WalPosition(1, 6), "other")
        await two.execute(text("INSERT INTO deferred_orders VALUES (1, 4711)"))
        return {}

    reply = await call(app, "POST", "/both")

    assert reply.status == 409
    assert reply.json()["committed"] == ["primary"]
    assert marks(reply) == {"primary": WalPosition(1, 5)}


async def test_what_a_background_task_notes_comes_too_late_and_harms_nothing(following) -> None:
    app = following()

    @app.post("/later")
    async def later(tasks: BackgroundTasks) -> dict:
        tasks.add_task(note, WalPosition(1, 5))
        return {}

    reply = await call(app, "POST", "/later")
    assert (reply.status, pairs(reply, HEADER)) == (201, [])


async def test_a_position_too_long_for_a_token_becomes_a_mark_without_one(following) -> None:
    class Long(WalPosition):
        __slots__ = ()

        def dump(self) -> object:
            return ["long", "x" * 10_000]

    app = following()

    @app.post("/long")
    async def long() -> dict:
        note(Long(1, 5))
        return {}

    reply = await call(app, "POST", "/long")
    assert len(token(reply)) <= LONGEST_TOKEN
    assert await seen(app, (HEADER, token(reply))) == "None"
