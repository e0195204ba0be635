"""A request is cancelled when its COMMIT has held, while the primary is asked for its position."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from asgi import call, until
from authors import Author, Base
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseConfig,
    ReadYourWrites,
    get_session,
    on_commit,
    session_for,
)
from hawkapi_sqlalchemy.core.routing.freshness import current_freshness
from hawkapi_sqlalchemy.core.routing.replication import (
    MariaDBReplication,
    PostgreSQLReplication,
    Replication,
)
from hawkapi_sqlalchemy.core.routing.replication.variables import scalar
from routed import application, configs

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

NAMES = select(Author.name).where(Author.name.not_like("author%")).order_by(Author.name)


@pytest.fixture
async def app(stocked: Cluster, tmp_path: Path) -> AsyncIterator[HawkAPI]:
    """An application with two databases, the first of which has replicas."""
    other = f"sqlite+aiosqlite:///{tmp_path / 'other.db'}"
    engine = create_async_engine(other)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    databases = configs(stocked) | {"other": DatabaseConfig(other)}
    async with application(databases, read_your_writes=ReadYourWrites(secret="s" * 32)) as app:
        yield app


@pytest.fixture
def asked(dialect: str, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set once the primary is asked for its position, which it takes a minute to tell."""
    kinds: dict[str, type[Replication]] = {
        "postgresql": PostgreSQLReplication,
        "mariadb": MariaDBReplication,
    }
    asked = asyncio.Event()

    async def hang(_: Replication, connection: Any) -> None:
        asked.set()
        if dialect == "postgresql":
            await connection.fetchrow("SELECT pg_sleep(60)")
        else:
            await scalar(connection, "SELECT SLEEP(60)")

    monkeypatch.setattr(kinds[dialect], "capture", hang)
    return asked


async def cancelled(app: HawkAPI, path: str, asked: asyncio.Event) -> None:
    """Send a request, and cancel it when its COMMIT has held."""
    request = asyncio.create_task(call(app, "POST", path))
    await until(asked.is_set)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def stored(database: Database, name: str = "primary") -> list[str]:
    async with database.session(name, commit=False) as session:
        return list(await session.scalars(NAMES))


class Callbacks:
    """What `on_commit` is given, and which of it has run to its end."""

    def __init__(self, wait: Callable[[], Any] = lambda: asyncio.sleep(0.01)) -> None:
        self.ran: list[str] = []
        self._wait = wait

    async def __call__(self, name: str) -> None:
        await self._wait()
        self.ran.append(name)

    def follow(self, session: AsyncSession) -> None:
        on_commit(session, self, "one")
        on_commit(session, self.ran.append, "two")
        on_commit(session, self, "three")


async def test_what_follows_the_commit_is_done_before_the_request_ends(
    app: HawkAPI, asked: asyncio.Event
) -> None:
    callbacks, sessions = Callbacks(), []

    @app.post("/add")
    async def add(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(Author(name="ada"))
        callbacks.follow(session)
        sessions.append(session)
        return {}

    await cancelled(app, "/add", asked)
    assert callbacks.ran == ["one", "two", "three"]
    database: Database = app.state.db
    assert await stored(database) == ["ada"]
    assert database.checked_out == 0
    with pytest.raises(Exception, match="has ended"):
        await sessions[0].execute(NAMES)


async def test_a_time_limit_of_the_handler_s_own_is_told_and_the_client_sees_the_write(
    app: HawkAPI, asked: asyncio.Event
) -> None:
    callbacks = Callbacks()

    @app.post("/add")
    async def add(db: Database) -> dict:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60) as limit, db.session() as session:
                session.add(Author(name="ada"))
                callbacks.follow(session)
                asyncio.create_task(_expire(limit, asked))  # noqa: RUF006  # ends before its limit
        assert callbacks.ran == ["one", "two", "three"]
        freshness = current_freshness.get()
        assert freshness is not None
        # Nothing is left of the cancellation.
        await asyncio.sleep(0)
        return {"noted": dict(freshness.noted)}

    reply = await call(app, "POST", "/add")
    assert (reply.status, reply.json()) == (201, {"noted": {"primary": None}})
    assert await stored(app.state.db) == ["ada"]


async def _expire(limit: asyncio.Timeout, asked: asyncio.Event) -> None:
    await until(asked.is_set)
    limit.reschedule(0)


@pytest.mark.parametrize("way", ["commit", "begin"])
async def test_a_session_that_goes_on_may_be_used_again(
    way: str, app: HawkAPI, asked: asyncio.Event
) -> None:
    database: Database = app.state.db
    callbacks = Callbacks()

    async def work(session: AsyncSession) -> None:
        session.add(Author(name="ada"))
        callbacks.follow(session)

    async def commit(session: AsyncSession) -> None:
        if way == "begin":
            async with session.begin():
                await work(session)
        else:
            await work(session)
            await session.commit()

    @app.post("/add")
    async def add() -> dict:
        async with database.session(commit=False) as session:
            task = asyncio.create_task(commit(session))
            await until(asked.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert callbacks.ran == ["one", "two", "three"]
            assert list(await session.scalars(NAMES)) == ["ada"]
        return {}

    assert (await call(app, "POST", "/add")).status == 201


async def test_the_other_databases_of_the_request_are_committed_as_well(
    app: HawkAPI, asked: asyncio.Event
) -> None:
    @app.post("/add")
    async def add(
        one: AsyncSession = Depends(get_session), two: AsyncSession = Depends(session_for("other"))
    ) -> dict:
        one.add(Author(name="ada"))
        two.add(Author(name="bob"))
        return {}

    await cancelled(app, "/add", asked)
    database: Database = app.state.db
    assert (await stored(database), await stored(database, "other")) == (["ada"], ["bob"])
    assert database.checked_out == 0


async def test_that_one_of_them_fails_then_is_logged(
    app: HawkAPI, asked: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing takes a cancellation's place, and what is stored must be known."""
    database: Database = app.state.db

    def refuse(_: object) -> None:
        raise KeyError("refused")

    event.listen(database.engines["other"].engine.sync_engine, "commit", refuse)

    @app.post("/add")
    async def add(
        one: AsyncSession = Depends(get_session), two: AsyncSession = Depends(session_for("other"))
    ) -> dict:
        one.add(Author(name="ada"))
        two.add(Author(name="bob"))
        return {}

    await cancelled(app, "/add", asked)
    assert "'other' after it had succeeded on 'primary'" in caplog.text
    assert (await stored(database), await stored(database, "other")) == (["ada"], [])
    assert database.checked_out == 0


async def test_who_is_cancelled_again_leaves_the_rest_of_the_callbacks_running(
    app: HawkAPI, asked: asyncio.Event
) -> None:
    waiting = asyncio.Event()

    async def wait() -> None:
        waiting.set()
        await asyncio.sleep(0.05)

    callbacks = Callbacks(wait)

    @app.post("/add")
    async def add(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(Author(name="ada"))
        callbacks.follow(session)
        return {}

    request = asyncio.create_task(call(app, "POST", "/add"))
    await until(asked.is_set)
    request.cancel()
    await until(waiting.is_set)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    # The first one was in the middle of its work.
    await until(lambda: callbacks.ran == ["two", "three"])
    assert app.state.db.checked_out == 0
