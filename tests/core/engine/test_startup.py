"""What an application does at its start, told through the ASGI lifespan protocol."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import pytest
from hawkapi import Depends, HawkAPI, Router
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession

import asgi
from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import (
    ConfigurationError,
    DatabaseConfig,
    DatabaseUnavailableError,
    get_session,
    init_database,
    open_session,
    session_for,
)
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until

NOWHERE = "postgresql+asyncpg://user:s3cret@127.0.0.1:1/app"
MEMORY = "sqlite+aiosqlite://"

type Lifespan = Callable[[HawkAPI], Awaitable[list[dict[str, Any]]]]


@pytest.fixture
def lifespan() -> Lifespan:
    """Start an application and stop it again, as a server would; answer what it said."""

    async def run(app: HawkAPI) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> dict[str, Any]:
            return next(events)

        async def send(message: dict[str, Any]) -> None:
            said.append(message)

        await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)
        return said

    return run


@pytest.fixture
def app() -> HawkAPI:
    return HawkAPI()


async def fails(lifespan: Lifespan, app: HawkAPI) -> str:
    """Start an application that must not start, and answer the error's text."""
    try:
        said = await lifespan(app)
    except DatabaseUnavailableError as error:
        return str(error)
    assert said[0]["type"] == "lifespan.startup.failed"
    return said[0]["message"]


async def test_an_application_whose_databases_answer_starts_and_stops(
    app: HawkAPI, lifespan: Lifespan
) -> None:
    init_database(app, url=MEMORY)
    assert [each["type"] for each in await lifespan(app)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_start_up_fails_when_the_primary_does_not_answer_in_time(
    app: HawkAPI, lifespan: Lifespan
) -> None:
    init_database(app, url=NOWHERE, startup_timeout=0.3)
    message = await fails(lifespan, app)
    assert "database 'primary' at 127.0.0.1:1 did not answer within 0.3 s" in message
    assert "s3cret" not in message


@pytest.mark.dialects("postgresql", "mariadb")
async def test_start_up_fails_with_what_the_server_said(
    app: HawkAPI, lifespan: Lifespan, database_url: str
) -> None:
    url = make_url(database_url).set(password="s3cret").render_as_string(hide_password=False)
    init_database(app, url=url, startup_timeout=1.5)
    message = await fails(lifespan, app)
    assert "password" in message
    assert "s3cret" not in message


@pytest.mark.dialects("postgresql", "mariadb")
async def test_start_up_gives_a_hanging_server_up_in_time(
    app: HawkAPI, lifespan: Lifespan, own_server: DatabaseServer
) -> None:
    init_database(app, url=own_server.url(), startup_timeout=0.5)
    own_server.pause()
    async with asyncio.timeout(10):
        assert "no answer" in await fails(lifespan, app)


@pytest.mark.dialects("postgresql", "mariadb")
async def test_start_up_waits_for_a_server_that_comes_later(
    app: HawkAPI, lifespan: Lifespan, own_server: DatabaseServer, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.stop()
    init_database(app, url=own_server.url(), startup_timeout=60)
    with caplog.at_level(logging.INFO, "hawkapi_sqlalchemy"):
        starting = asyncio.create_task(lifespan(app))
        async with asyncio.timeout(30):
            while "waiting for database 'primary'" not in caplog.text:  # noqa: ASYNC110  # nothing tells of it
                await asyncio.sleep(0.01)
        await asyncio.to_thread(own_server.start)
        said = await starting
    assert said[0]["type"] == "lifespan.startup.complete"
    assert caplog.text.count("waiting for database") == 1


@pytest.mark.parametrize("name", ["replica", "analytics"])
async def test_any_other_database_that_does_not_answer_is_only_warned_of(
    name: str, app: HawkAPI, lifespan: Lifespan, caplog: pytest.LogCaptureFixture
) -> None:
    init_database(
        app,
        databases={"primary": DatabaseConfig(MEMORY), name: DatabaseConfig(NOWHERE)},
        startup_timeout=0.3,
    )
    assert (await lifespan(app))[0]["type"] == "lifespan.startup.complete"
    [warning] = [each for each in caplog.records if each.levelno == logging.WARNING]
    expected = {
        "replica": "replica 'replica' at 127.0.0.1:1 is down",
        "analytics": "database 'analytics' at 127.0.0.1:1 did not answer",
    }
    assert expected[name] in warning.getMessage()
    assert "starting without it" in warning.getMessage() or name == "replica"
    assert "s3cret" not in caplog.text


async def test_without_a_startup_timeout_no_database_is_asked(
    app: HawkAPI, lifespan: Lifespan
) -> None:
    init_database(app, url=NOWHERE, startup_timeout=None)
    assert (await lifespan(app))[0]["type"] == "lifespan.startup.complete"


async def test_an_application_can_be_started_again_after_it_was_stopped(
    app: HawkAPI, lifespan: Lifespan, tmp_path: Path
) -> None:
    init_database(app, url=f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")
    for _ in range(2):
        assert len(await lifespan(app)) == 2
        async with app.state.db.session() as session:  # type: ignore[attr-defined]
            assert await session.scalar(text("SELECT 1")) == 1
    await app.state.db.dispose()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "got none"),
        ({"url": MEMORY, "config": DatabaseConfig(MEMORY)}, "url= and config="),
        ({"url": MEMORY, "databases": {}}, "url= and databases="),
        (
            {"url": MEMORY, "config": DatabaseConfig(MEMORY), "databases": {}},
            "url= and config= and databases=",
        ),
    ],
    ids=["none", "url and config", "url and databases", "all"],
)
def test_init_database_takes_exactly_one_source(
    app: HawkAPI, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match="takes exactly one of") as caught:
        init_database(app, **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("given", [{}, {"replica": DatabaseConfig(MEMORY)}])
def test_databases_without_a_primary_are_refused(app: HawkAPI, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="needs a 'primary'") as caught:
        init_database(app, databases=given)
    assert ("'replica'" if given else "none") in str(caught.value)


@pytest.mark.parametrize("value", [MEMORY, None, {"url": MEMORY}])
def test_a_value_that_is_no_configuration_is_refused_by_its_name_and_type(
    app: HawkAPI, value: Any
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        init_database(app, databases={"primary": DatabaseConfig(MEMORY), "shard:1": value})
    assert "'shard:1' needs a DatabaseConfig" in str(caught.value)
    assert type(value).__name__ in str(caught.value)
    assert "aiosqlite" not in str(caught.value)


# Do the pools fit?


def accepted_by(server: DatabaseServer, dialect: str) -> int:
    """How many connections a server takes from an ordinary account."""
    if dialect == "mariadb":
        return server.execute("SELECT @@max_connections")[0][0]
    [(most, reserved)] = server.execute(
        "SELECT current_setting('max_connections')::int, "
        "current_setting('superuser_reserved_connections')::int"
    )
    return most - reserved


@pytest.fixture
def capacity_warning(
    app: HawkAPI, lifespan: Lifespan, database_url: str, caplog: pytest.LogCaptureFixture
) -> Callable[..., Awaitable[str]]:
    """Start with a pool of a total size, and answer what was warned of."""

    async def start(total: int, *, workers: int | None = None) -> str:
        caplog.clear()
        config = DatabaseConfig(database_url, pool_size=total - 7, max_overflow=7)
        app = HawkAPI()
        init_database(app, config=config, workers=workers)
        assert (await lifespan(app))[0]["type"] == "lifespan.startup.complete"
        return "\n".join(
            each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING
        )

    return start


@pytest.mark.dialects("postgresql", "mariadb")
async def test_pools_that_together_exceed_the_server_are_warned_of_and_those_that_fit_are_not(
    capacity_warning: Any,
    database_server: DatabaseServer,
    dialect: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    accepted = accepted_by(database_server, dialect)
    assert await capacity_warning(accepted) == ""
    assert f"may open {accepted + 1}, but the server accepts {accepted}" in (
        await capacity_warning(accepted + 1)
    )

    third = accepted // 3
    assert await capacity_warning(third, workers=3) == ""
    warning = await capacity_warning(third + 1, workers=3)
    assert "database 'primary': 3 workers" in warning
    assert f"up to {third - 6} + 7 connections each may open {3 * third + 3}" in warning

    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert await capacity_warning(third) == ""
    assert "3 workers" in await capacity_warning(third + 1)
    # What the application says goes before what the environment says.
    assert await capacity_warning(third + 1, workers=1) == ""
    monkeypatch.setenv("WEB_CONCURRENCY", "")
    assert await capacity_warning(accepted) == ""


@pytest.mark.dialects("sqlite")
async def test_the_pools_of_sqlite_have_no_server_to_exceed(capacity_warning: Any) -> None:
    assert await capacity_warning(1000, workers=1000) == ""


# What a stop waits for.


async def is_waiting(task: asyncio.Task[None]) -> bool:
    """Tell whether a task is not done after several looks at what it waits for."""
    await asyncio.wait([task], timeout=0.15)
    return not task.done()


async def test_a_stop_waits_for_a_request_and_then_closes_every_connection(
    app: HawkAPI, tmp_path: Path
) -> None:
    database = init_database(app, url=f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")
    begun, go = asyncio.Event(), asyncio.Event()

    @app.post("/")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        # No connection yet: it is the request that is waited for.
        begun.set()
        await go.wait()
        await session.execute(text("CREATE TABLE stored (id INTEGER)"))
        return {}

    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asgi.lifespan(app))
        request = asyncio.create_task(asgi.call(app, "POST", "/"))
        await asyncio.wait_for(begun.wait(), asgi.DEADLINE)
        stopping = asyncio.create_task(stack.pop_all().aclose())
        assert await is_waiting(stopping)
        assert database.checked_out == 0
        go.set()
        assert (await request).status == 201
        await stopping
    # A connection opened after the pools were closed would be left in one.
    pool: Any = database.get().engine.pool
    assert pool.checkedin() == 0
    async with database.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM stored")) == 0
    await database.dispose()


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_stop_waits_for_a_session_outside_a_request_and_then_leaves_the_server(
    app: HawkAPI, database_url: str, database_server: DatabaseServer
) -> None:
    init_database(app, url=database_url)
    name = make_url(database_url).database
    assert name is not None
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asgi.lifespan(app))
        async with open_session(app) as session:
            await session.execute(text("SELECT 1"))
            stopping = asyncio.create_task(stack.pop_all().aclose())
            assert await is_waiting(stopping)
            assert await session.scalar(text("SELECT 2")) == 2
        await stopping
    await has_left(database_server, name)


async def has_left(server: DatabaseServer, database: str) -> None:
    """Wait until a server has no connection to a database."""
    await asyncio.to_thread(
        wait_until, lambda: server.count_connections(database) == 0, what="all have left"
    )


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_stop_gives_up_what_does_not_come_back_and_closes_it_later(
    app: HawkAPI, database_url: str, database_server: DatabaseServer, caplog: Any
) -> None:
    init_database(app, url=database_url, drain_timeout=0.2)
    name = make_url(database_url).database
    assert name is not None
    async with open_session(app) as session:
        await session.execute(text("SELECT 1"))
        async with asyncio.timeout(5):
            async with asgi.lifespan(app):
                pass
        assert "1 connections still in use after 0.2 s" in caplog.text
        # It is not torn away from its user, and not kept once it is free.
        assert await session.scalar(text("SELECT 2")) == 2
    await has_left(database_server, name)


async def test_a_stop_disposes_the_database_that_was_replaced_too(
    app: HawkAPI, lifespan: Lifespan, tmp_path: Path
) -> None:
    first = init_database(app, url=f"sqlite+aiosqlite:///{tmp_path / 'first.db'}")
    async with first.session() as session:
        await session.execute(text("SELECT 1"))
    before: Any = first.get().engine.pool
    assert before.checkedin() == 1
    init_database(app, url=MEMORY)
    await lifespan(app)
    assert before.checkedin() == 0


# Sessions of databases that are not there.

nope = session_for("nope")


async def asks_for_nope(session: Annotated[AsyncSession, Depends(nope)]) -> None:
    """A dependency that is itself in order."""


async def asks_through_another(below: None = Depends(asks_for_nope)) -> None:
    """One that is two steps away."""


async def by_default(session: AsyncSession = Depends(nope)) -> dict:
    return {}


async def by_annotation(session: Annotated[AsyncSession, Depends(nope)]) -> dict:
    return {}


async def nested(below: Annotated[None, Depends(asks_through_another)]) -> dict:
    return {}


async def plain() -> dict:
    return {}


@pytest.mark.parametrize(
    ("handler", "options"),
    [
        (by_default, {}),
        (by_annotation, {}),
        (nested, {}),
        (plain, {"dependencies": [Depends(nope)]}),
        (plain, {"dependencies": [Depends(asks_through_another)]}),
    ],
    ids=["default", "annotated", "nested", "of the route", "nested in one of the route"],
)
@pytest.mark.parametrize("routed", [False, True], ids=["app", "router"])
async def test_a_writing_session_of_an_unknown_database_is_refused_at_start_up(
    app: HawkAPI, lifespan: Lifespan, handler: Any, options: dict[str, Any], routed: bool
) -> None:
    config = DatabaseConfig(MEMORY)
    database = init_database(app, databases={"primary": config, "analytics": config})
    if routed:
        router = Router()
        router.get("/", **options)(handler)
        app.include_router(router)
    else:
        app.get("/", **options)(handler)
    [failed] = await lifespan(app)
    assert failed["type"] == "lifespan.startup.failed"
    assert "no database is registered as 'nope'" in failed["message"]
    assert "'primary', 'analytics'" in failed["message"]
    await database.dispose()


async def test_sessions_that_may_be_had_do_not_stop_the_start(
    app: HawkAPI, lifespan: Lifespan
) -> None:
    """A reading session of an unknown database has the primary to fall back to."""
    config = DatabaseConfig(MEMORY)
    init_database(app, databases={"primary": config, "analytics": config})

    @app.get("/")
    async def handler(
        known: AsyncSession = Depends(session_for("analytics")),
        read: AsyncSession = Depends(session_for("nope", commit=False)),
    ) -> dict:
        return {}

    assert (await lifespan(app))[0]["type"] == "lifespan.startup.complete"
