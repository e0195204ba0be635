"""Passwords appear in no repr, message or log line."""

from __future__ import annotations

import functools
import logging
import traceback
from typing import Any

import pytest
from sqlalchemy import make_url, text

from hawkapi_sqlalchemy.core import CannotConnectError, DatabaseConfig, create_engine

SECRET = "s3cret"
PLAIN = "postgresql+asyncpg://user@host/app"


def connect(password: str) -> None:
    """Stand in for a connection factory."""


class Vault:
    def __repr__(self) -> str:
        return f"Vault({SECRET!r})"

    def __call__(self) -> str:
        return SECRET


@pytest.fixture(
    params=[
        (f"postgresql+asyncpg://user:{SECRET}@host/app", {}),
        (make_url(f"postgresql+asyncpg://user:{SECRET}@host/app"), {}),
        (f"{PLAIN}?password={SECRET}", {}),
        (f"{PLAIN}?sslpassword={SECRET}&host=a:1&host=b:2", {}),
        (f"mysql+aiomysql://user@host/app?passwd={SECRET}", {}),
        (PLAIN, {"password": SECRET}),
        (PLAIN, {"password": Vault()}),
        (PLAIN, {"connect_args": {"password": SECRET}}),
        (PLAIN, {"connect_args": {"PASSWORD": SECRET}}),
        (PLAIN, {"connect_args": {"server_settings": {"app.api_token": SECRET}}}),
        (PLAIN, {"connect_args": {"dsn": f"postgresql://user:{SECRET}@host/app"}}),
        (PLAIN, {"connect_args": {"dsn": f"host=host user=user password={SECRET} port=1"}}),
        (PLAIN, {"connect_args": {"dsn": f"postgresql://host/app?user=u&password={SECRET}"}}),
        (PLAIN, {"engine_kwargs": {"connect_args": {"password": SECRET}}}),
        (PLAIN, {"engine_kwargs": {"plugins": [{"client_secret": SECRET}]}}),
        (PLAIN, {"engine_kwargs": {"plugins": ({"a": [{"passwd": SECRET}]},)}}),
        (PLAIN, {"engine_kwargs": {"other": make_url(f"sqlite://user:{SECRET}@host/app")}}),
        (PLAIN, {"engine_kwargs": {"x": [make_url(f"sqlite://user:{SECRET}@host/app")]}}),
        (PLAIN, {"engine_kwargs": {"async_creator": functools.partial(connect, SECRET)}}),
        (PLAIN, {"session_kwargs": {"info": {"token": SECRET}}}),
    ],
    ids=range(20),
)
def config(request: pytest.FixtureRequest) -> DatabaseConfig:
    url, fields = request.param
    return DatabaseConfig(url, **fields)


def test_no_repr_of_a_configuration_shows_a_password(config: DatabaseConfig) -> None:
    for shown in (repr(config), str(config), f"{config}", repr([config])):
        assert SECRET not in shown
        assert "host" in shown


@pytest.mark.parametrize(
    ("url", "fields"),
    [
        (f"postgresql+asyncpg://user:{SECRET}@host/app", {}),
        (f"{PLAIN}?password={SECRET}", {}),
        (PLAIN, {"password": SECRET}),
        (PLAIN, {"connect_args": {"password": SECRET}}),
    ],
)
def test_no_repr_of_an_engine_shows_a_password(url: str, fields: dict[str, Any]) -> None:
    engine = create_engine(DatabaseConfig(url, **fields))
    assert SECRET not in repr(engine)
    assert "'primary'" in repr(engine)
    assert SECRET not in repr(engine.engine) or "password=" in url


def test_a_masked_url_still_tells_hosts_and_options() -> None:
    url = f"postgresql+asyncpg://user:{SECRET}@/app?host=a:1&host=b:2&password={SECRET}"
    shown = repr(DatabaseConfig(url))
    assert "host=a%3A1" in shown or "host=a:1" in shown
    assert "host=b" in shown


@pytest.mark.dialects("postgresql", "mariadb")
@pytest.mark.parametrize("where", ["url", "password", "callable", "connect_args"])
async def test_a_failed_connection_tells_no_password(
    database_url: str, where: str, make_database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the error, nor its traceback, nor any log line down to DEBUG."""
    url = make_url(database_url).set(password=SECRET if where == "url" else None)
    fields: dict[str, dict[str, Any]] = {
        "url": {},
        "password": {"password": SECRET},
        "callable": {"password": Vault()},
        "connect_args": {"connect_args": {"password": SECRET}},
    }
    database = make_database(url.render_as_string(hide_password=False), **fields[where])
    with caplog.at_level(logging.DEBUG), pytest.raises(CannotConnectError) as caught:
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
    error = caught.value
    assert SECRET not in "".join(traceback.format_exception(error))
    assert SECRET not in repr(error)
    assert SECRET not in repr(vars(error))
    assert SECRET not in caplog.text
