"""What `/readyz` reports, and the warning about pools that do not fit the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hawkapi import HawkAPI, testing
from sqlalchemy.pool import NullPool

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import DatabaseConfig, init_database
from hawkapi_sqlalchemy.core.web.startup import Startup
from hawkapi_sqlalchemy.core.web.state import DatabaseState

NOWHERE = "postgresql+asyncpg://user:s3cret@127.0.0.1:1/app"
MEMORY = "sqlite+aiosqlite://"


type Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def readyz() -> Any:
    """Ask an application for `/readyz`; answer the status and the text."""

    async def ask(*, readiness: bool = True, **urls: str) -> tuple[int, str]:
        app = HawkAPI()
        databases = {name: DatabaseConfig(url) for name, url in urls.items()}
        database = init_database(app, databases=databases, readiness=readiness)
        response = await asyncio.to_thread(get, app)
        await database.dispose()
        return response

    def get(app: HawkAPI) -> tuple[int, str]:
        client = testing.TestClient(app)
        response = client.get("/readyz")
        if client._loop is not None:
            client._loop.close()
        return response.status_code, response.text

    return ask


async def test_an_application_whose_databases_answer_is_ready(
    database_url: str, readyz: Any
) -> None:
    status, body = await readyz(primary=database_url)
    assert status == 200
    assert "primary: up" in body


async def test_it_is_not_ready_without_its_primary_and_says_which_is_down(readyz: Any) -> None:
    status, body = await readyz(primary=NOWHERE, analytics=MEMORY)
    assert status == 503
    assert "primary: down" in body
    assert "analytics: up" in body
    assert "s3cret" not in body
    assert "127.0.0.1" not in body


async def test_it_is_not_ready_without_another_database_that_is_no_replica(readyz: Any) -> None:
    status, body = await readyz(primary=MEMORY, analytics=NOWHERE)
    assert status == 503
    assert "analytics: down" in body


@pytest.mark.parametrize("name", ["replica", "replica:eu"])
async def test_it_stays_ready_without_a_replica_and_tells_so(name: str, readyz: Any) -> None:
    status, body = await readyz(**{"primary": MEMORY, name: NOWHERE})
    assert status == 200
    assert f"{name}: down" in body


async def test_without_readiness_no_check_is_registered(readyz: Any) -> None:
    status, body = await readyz(readiness=False, primary=NOWHERE)
    assert status == 200
    assert "primary" not in body


@pytest.fixture
def start() -> Any:
    """Run the start-up hook for a configuration and a number of workers."""

    async def run(config: DatabaseConfig, workers: int | None = None) -> None:
        app = HawkAPI()
        database = init_database(app, config=config)
        state = DatabaseState(app, database)
        state.use(
            database,
            commit_when=lambda _: True,
            startup_timeout=30,
            drain_timeout=1,
            workers=workers,
            read_your_writes=None,
        )
        await Startup(state)()
        await database.dispose()

    return run


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def capacity(server: DatabaseServer, dialect: str) -> int:
    if dialect == "mariadb":
        return server.execute("SELECT @@max_connections")[0][0]
    reserved = "current_setting('superuser_reserved_connections')::int"
    return server.execute(f"SELECT current_setting('max_connections')::int - {reserved}")[0][0]


@pytest.mark.dialects("postgresql", "mariadb")
async def test_pools_that_together_exceed_the_server_are_warned_of(
    dialect: str,
    database_url: str,
    database_server: DatabaseServer,
    start: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    accepted = capacity(database_server, dialect)
    await start(DatabaseConfig(database_url, pool_size=accepted // 2, max_overflow=0), workers=2)
    assert warnings(caplog) == []
    await start(DatabaseConfig(database_url, pool_size=accepted // 2, max_overflow=1), workers=2)
    [message] = warnings(caplog)
    assert f"2 workers with up to {accepted // 2} + 1 connections each" in message
    assert f"the server accepts {accepted}" in message
    assert "pool_size" in message


@pytest.mark.dialects("postgresql")
async def test_the_number_of_workers_is_taken_from_the_environment(
    database_url: str,
    start: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "1000")
    await start(DatabaseConfig(database_url))
    [message] = warnings(caplog)
    assert "1000 workers" in message
    caplog.clear()
    await start(DatabaseConfig(database_url), workers=1)
    assert warnings(caplog) == []


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize(
    ("engine_kwargs", "warned"),
    [
        ({"pool_size": 1000}, True),
        ({"max_overflow": 1000}, True),
        ({"pool_size": 1, "max_overflow": 0}, False),
        ({"poolclass": NullPool}, False),
    ],
    ids=["more", "more overflow", "fewer", "no pool"],
)
async def test_the_pool_that_there_is_counts_not_the_one_of_the_fields(
    engine_kwargs: dict[str, Any],
    warned: bool,
    database_url: str,
    start: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fields = {} if warned else {"pool_size": 5, "max_overflow": 10}
    workers = 1 if warned else 20
    await start(DatabaseConfig(database_url, engine_kwargs=engine_kwargs, **fields), workers)
    assert bool(warnings(caplog)) is warned


@pytest.mark.dialects("sqlite")
async def test_a_database_without_a_limit_of_its_own_is_not_warned_of(
    database_url: str, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await start(DatabaseConfig(database_url, pool_size=10_000), workers=100)
    assert warnings(caplog) == []
