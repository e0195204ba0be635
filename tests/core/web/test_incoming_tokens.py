"""The token that a client sends back: where it is found, and when it is trusted."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hawkapi import Request
from hawkapi.middleware import Middleware

from asgi import call
from client_tokens import (
    COOKIE,
    HEADER,
    SECRET,
    cookie,
    described,
    marks,
    note,
    pairs,
    seen,
    token,
    whose,
    written,
)
from hawkapi_sqlalchemy.core.routing import token as token_module
from hawkapi_sqlalchemy.core.routing.positions import WalPosition
from hawkapi_sqlalchemy.core.routing.token import Tokens

pytestmark = pytest.mark.dialects("sqlite")


@pytest.mark.parametrize(
    "name", ["X-Database-Position", "x-database-position", "X-DATABASE-position"]
)
async def test_the_name_of_the_header_is_known_in_any_case(following, name: str) -> None:
    app = following()
    assert await seen(app, (name, token(await written(app)))) == str(WalPosition(1, 5))


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "a=1; {}; b=2",
        "a=1;{};b",
        " {} ",
        'a="x"; {quoted}',
        "hawkapi_db_position=forged; {}",
        "hawkapi_db_position=; {}",
        "=; ;;{}",
    ],
)
async def test_the_cookie_is_found_among_others(following, line: str) -> None:
    app = following()
    pair = cookie(await written(app))
    name, _, value = pair.partition("=")
    sent = line.format(pair, quoted=f'{name}="{value}"')

    assert await seen(app, ("Cookie", sent)) == str(WalPosition(1, 5))


async def test_cookies_may_come_in_several_lines(following) -> None:
    """As HTTP/2 sends them."""
    app = following()
    pair = cookie(await written(app))

    assert await seen(app, ("cookie", "a=1"), ("cookie", pair)) == str(WalPosition(1, 5))


async def test_header_and_cookie_are_merged(following) -> None:
    app = following()
    older, newer = await written(app, 5), await written(app, 9)

    for in_header, in_cookie in ((older, newer), (newer, older)):
        sent = (HEADER, token(in_header)), ("cookie", cookie(in_cookie))
        assert await seen(app, *sent) == str(WalPosition(1, 9))
    assert await seen(app, (HEADER, "forged"), ("cookie", cookie(older))) == str(WalPosition(1, 5))
    assert await seen(app, (HEADER, token(older)), ("cookie", f"{COOKIE}=x")) == str(
        WalPosition(1, 5)
    )


async def test_only_a_few_tokens_of_a_request_are_looked_at(
    following, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[str] = []
    monkeypatch.setattr(Tokens, "loads", lambda self, text, identity: looked_at.append(text))

    assert await seen(following(), ("cookie", "; ".join([f"{COOKIE}=x"] * 5000))) is None
    assert len(looked_at) == 4


async def test_the_incoming_token_is_merged_into_the_new_one(following) -> None:
    app = following()

    @app.post("/elsewhere")
    async def elsewhere() -> dict:
        note(WalPosition(1, 1), "other")
        return {}

    first = await written(app, 9)
    for name, value in ((HEADER, token(first)), ("cookie", cookie(first))):
        assert await seen(app, (HEADER, token(await written(app, 5, (name, value))))) == str(
            WalPosition(1, 9)
        )
    reply = await call(app, "POST", "/elsewhere", headers=[(b"cookie", cookie(first).encode())])
    assert marks(reply) == {"primary": WalPosition(1, 9), "other": WalPosition(1, 1)}


async def test_a_write_whose_position_is_not_known_is_told_too(following) -> None:
    app = following()
    reply = await call(app, "POST", "/write-somewhere")

    assert await seen(app, (HEADER, token(reply))) == "None"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "forged",
        "x" * 60_000,
        "\xff" * 100,
        "e30." + "A" * 43,
        '{"primary": null}',
        "[" * 5000,
    ],
)
async def test_a_forged_or_huge_token_is_ignored_and_not_passed_on(following, text: str) -> None:
    app = following()

    assert await seen(app, (HEADER, text), ("cookie", f"{COOKIE}={text}")) is None
    reply = await call(
        app, "POST", "/write", query="lsn=5", headers=[(HEADER.encode(), text.encode("latin-1"))]
    )
    assert await seen(app, (HEADER, token(reply))) == str(WalPosition(1, 5))


async def test_a_token_of_another_secret_is_ignored(following) -> None:
    forged = Tokens("o" * 32, 30).dumps({"primary": WalPosition(9, 9)}, None)
    app = following()

    assert await seen(app, (HEADER, forged)) is None
    assert await seen(app, (HEADER, token(await written(app, 5, (HEADER, forged))))) == str(
        WalPosition(1, 5)
    )


async def test_a_token_is_ignored_once_it_is_too_old(
    following, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = following(max_age=2)
    reply = await written(app)
    now = token_module.time()

    monkeypatch.setattr(token_module, "time", lambda: now + 1.5)
    assert await seen(app, (HEADER, token(reply))) == str(WalPosition(1, 5))
    monkeypatch.setattr(token_module, "time", lambda: now + 2.5)
    assert await seen(app, (HEADER, token(reply))) is None


async def test_secrets_rotate_under_running_clients(following) -> None:
    old, both, new = (following(secret=secret) for secret in (SECRET, [SECRET, "n" * 32], "n" * 32))
    before, during = await written(old), await written(both)

    assert await seen(both, (HEADER, token(before))) == str(WalPosition(1, 5))
    assert await seen(new, (HEADER, token(during))) == str(WalPosition(1, 5))
    assert await seen(new, (HEADER, token(before))) is None


async def test_a_token_goes_to_the_primary_of_its_user_alone(following) -> None:
    app = following(bind_to=whose)
    adas, nobodys = await written(app, 5, ("x-user", "ada")), await written(app)

    assert await seen(app, (HEADER, token(adas)), ("x-user", "ada")) == str(WalPosition(1, 5))
    assert await seen(app, (HEADER, token(adas)), ("x-user", "bob")) is None
    assert await seen(app, (HEADER, token(adas))) is None
    assert await seen(app, (HEADER, token(nobodys)), ("x-user", "bob")) == str(WalPosition(1, 5))


async def test_another_users_token_is_not_merged_into_ones_own(following) -> None:
    app = following(bind_to=whose)
    adas = await written(app, 9, ("x-user", "ada"))
    bobs = await written(app, 5, ("x-user", "bob"), ("cookie", cookie(adas)))

    assert await seen(app, (HEADER, token(bobs)), ("x-user", "bob")) == str(WalPosition(1, 5))


async def test_who_logs_in_gets_a_token_of_his_own_that_holds_what_he_wrote_before(
    following,
) -> None:
    """Whom a token belongs to is asked when it is read, and again when one is issued."""
    app = following(bind_to=lambda request: request.scope.get("user"))

    @app.post("/login")
    async def login(request: Request) -> dict:
        assert described() == str(WalPosition(1, 9))
        request.scope["user"] = "ada"
        note(WalPosition(1, 5))
        return {}

    class Knows(Middleware):
        async def __call__(self, scope, receive, send) -> None:
            if (b"x-user", b"ada") in scope["headers"]:
                scope["user"] = "ada"
            await self.app(scope, receive, send)

    app.add_middleware(Knows)
    nobodys = await written(app, 9)
    reply = await call(app, "POST", "/login", headers=[(HEADER.encode(), token(nobodys).encode())])

    assert await seen(app, (HEADER, token(reply)), ("x-user", "ada")) == str(WalPosition(1, 9))
    assert await seen(app, (HEADER, token(reply))) is None


@pytest.mark.parametrize("answer", [4711, b"ada", RuntimeError("no session"), KeyError("user")])
async def test_a_bind_to_that_fails_is_logged_and_the_request_goes_on_without_a_token(
    following, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    def fails(request: Request) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    good = token(await written(following()))
    app = following(bind_to=fails)
    with caplog.at_level(logging.ERROR, "hawkapi_sqlalchemy"):
        assert await seen(app, (HEADER, good)) is None
        reply = await written(app)

    assert reply.status == 201
    assert pairs(reply, HEADER) == pairs(reply, "set-cookie") == []
    assert [each.partition(":")[0] for each in caplog.messages] == ["bind_to failed"] * 2


async def test_bind_to_is_not_asked_where_there_is_nothing_to_bind(following) -> None:
    def whose(request: Request) -> str | None:
        pytest.fail("asked")

    app = following(bind_to=whose)
    assert await seen(app) is None
    assert (await call(app, "GET", "/untouched", headers=[(b"cookie", b"a=1")])).status == 200
