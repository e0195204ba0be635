"""The settings of read-your-writes: their defaults, what is refused, what is not shown."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any

import pytest
from hawkapi import HawkAPI

from asgi import lifespan
from hawkapi_sqlalchemy.core import ConfigurationError, ReadYourWrites, init_database

SECRET = "s3cr3t-" * 5


def make(**fields: Any) -> ReadYourWrites:
    return ReadYourWrites(**({"secret": SECRET} | fields))


def test_the_defaults_are_the_documented_ones() -> None:
    settings = make()

    assert (settings.max_age, settings.wait) == (30.0, 0.05)
    assert (settings.cookie, settings.header) == ("hawkapi_db_position", "X-Database-Position")
    assert (settings.secure, settings.same_site, settings.bind_to) == (True, "lax", None)


def test_it_cannot_be_changed_and_takes_no_positional_argument() -> None:
    with pytest.raises(FrozenInstanceError):
        make().max_age = 5.0  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        ReadYourWrites(SECRET)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("secret", ["", b"", [], (), [SECRET, ""], ["", SECRET]])
def test_a_secret_that_is_missing_or_empty_is_refused(secret: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"secrets\.token_urlsafe\(32\)"):
        make(secret=secret)


@pytest.mark.parametrize("secret", ["s", "s" * 32, b"s" * 31, [SECRET, b"s"], (SECRET,), "ß" * 16])
def test_a_secret_is_text_or_bytes_or_several(secret: Any) -> None:
    assert all(isinstance(each, bytes) for each in make(secret=secret).secrets)


@pytest.mark.parametrize(
    ("secret", "length"), [("s" * 31, 31), (b"s", 1), ([SECRET, "s" * 9], 9), (["ß" * 15], 30)]
)
@pytest.mark.parametrize("startup_timeout", [10.0, None])
async def test_start_up_warns_of_a_short_secret_and_tells_how_a_good_one_is_made(
    secret: Any,
    length: int,
    startup_timeout: float | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = HawkAPI()
    init_database(
        app,
        url="sqlite+aiosqlite:///:memory:",
        read_your_writes=make(secret=secret),
        startup_timeout=startup_timeout,
    )
    assert caplog.messages == []
    async with lifespan(app):
        pass
    (message,) = (each for each in caplog.messages if "secret" in each)
    assert f"has {length} bytes" in message
    assert 'python -c "import secrets; print(secrets.token_urlsafe(32))"' in message


@pytest.mark.parametrize("secret", ["s" * 32, [b"s" * 32, "ß" * 16]])
async def test_it_does_not_warn_of_a_good_one(
    secret: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = HawkAPI()
    settings = make(secret=secret)
    init_database(app, url="sqlite+aiosqlite:///:memory:", read_your_writes=settings)
    async with lifespan(app):
        pass
    assert "secret" not in caplog.text


def test_a_secret_is_in_no_message(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make(secret=["tell-nobody", ""])
    make(secret="tell-nobody").warn_of_short_secrets()
    assert "tell-nobody" not in f"{refused.value} {caplog.text}"
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("secret", [SECRET, SECRET.encode(), [SECRET], [SECRET.encode(), SECRET]])
def test_no_text_of_it_shows_the_secret(secret: Any) -> None:
    def whose(secret: str, request: Any) -> None: ...

    settings = make(secret=secret, bind_to=partial(whose, SECRET))

    for text in (repr(settings), str(settings), f"{settings!r:>10}"):
        assert "s3cr3t" not in text
    assert "max_age=30.0" in repr(settings)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_age": 0}, "max_age"),
        ({"max_age": -1}, "max_age"),
        ({"max_age": 30.01}, "30 at most"),
        ({"max_age": float("nan")}, "max_age"),
        ({"wait": -0.01}, "wait"),
        ({"wait": float("nan")}, "wait"),
        ({"wait": float("inf")}, "wait"),
        ({"cookie": None, "header": None}, "a cookie or a header"),
        ({"cookie": ""}, "'' cannot be the name of a cookie"),
        ({"cookie": "a b"}, "name of a cookie"),
        ({"cookie": "a=b"}, "name of a cookie"),
        ({"cookie": "a;b"}, "name of a cookie"),
        ({"cookie": "ä"}, "name of a cookie"),
        ({"cookie": "a\r\nSet-Cookie: x"}, "name of a cookie"),
        ({"header": ""}, "name of a header"),
        ({"header": "X Position"}, "name of a header"),
        ({"header": "X:Position"}, "name of a header"),
        ({"header": "X-Position\n"}, "name of a header"),
        ({"same_site": "Lax"}, "same_site"),
        ({"same_site": "none", "secure": False}, "without Secure"),
        ({"cookie": "__Host-position", "secure": False}, "without Secure"),
        ({"cookie": "__Secure-position", "secure": False}, "without Secure"),
    ],
)
def test_what_cannot_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_age": 0.001},
        {"max_age": 30},
        {"wait": 0},
        {"cookie": None},
        {"header": None},
        {"cookie": "__Host-position"},
        {"same_site": "none"},
        {"same_site": "none", "secure": False, "cookie": None},
        {"same_site": "strict", "secure": False},
    ],
)
def test_what_can_work_is_taken(fields: dict[str, Any]) -> None:
    make(**fields)


def test_a_coroutine_function_cannot_tell_whom_a_request_belongs_to() -> None:
    async def whose(request: Any) -> str:
        return "ada"

    with pytest.raises(ConfigurationError, match="plain function"):
        make(bind_to=whose)


def test_it_travels_to_worker_processes() -> None:
    settings = make(secret=[SECRET, b"s" * 32], max_age=5)

    assert pickle.loads(pickle.dumps(settings)) == settings
