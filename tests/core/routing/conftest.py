"""What the tests of replication share: connections as those have that look at servers."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from hawkapi import Depends, HawkAPI, Response
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from asgi import Reply, call, lifespan
from authors import NAMES, Author, stock
from client_tokens import SECRET
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import Database, DatabaseConfig, get_split_session
from hawkapi_sqlalchemy.core.routing import token as token_module
from hawkapi_sqlalchemy.core.routing.replication import (
    MariaDBReplication,
    PostgreSQLReplication,
    Replication,
)
from hawkapi_sqlalchemy.core.routing.token import Tokens
from replica_service.application import create_app
from replica_service.fixtures import create_items
from replica_service.here import Here
from replica_service.settings import Settings
from routed import Sent, application, configs, create_authors, listening

type Connect = Callable[[str], Awaitable[AsyncConnection]]


@pytest.fixture
async def look_at() -> AsyncIterator[Connect]:
    """Connect to a server in AUTOCOMMIT; the connection is closed after the test."""
    opened: list[AsyncConnection] = []

    async def connect(url: str) -> AsyncConnection:
        engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        connection = await engine.connect()
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        await connection.close()
        await connection.engine.dispose()


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """What is called back after the test."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def asked(dialect: str, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The driver's connections on which a primary was asked for its position."""
    kinds: dict[str, type[Replication]] = {
        "postgresql": PostgreSQLReplication,
        "mariadb": MariaDBReplication,
    }
    kind = kinds[dialect]
    capture = kind.capture
    asked: list[object] = []

    def noting(self: Any, connection: Any) -> Any:
        asked.append(connection)
        return capture(self, connection)

    monkeypatch.setattr(kind, "capture", noting)
    return asked


type StartHere = Callable[..., Awaitable[Here]]


@pytest.fixture
async def start_here(spare_cluster: Cluster) -> AsyncIterator[StartHere]:
    """Start applications of `replica_service` in this process, which end with the test.

    Called with fields of `Settings`, and with `routes`, a function that gives the application
    more. All replicas of the spare cluster are the application's, unless `replicas` says
    otherwise. After the test none of them may have a connection in use.
    """
    create_items(spare_cluster.primary_url)
    spare_cluster.wait_for_catch_up()
    async with contextlib.AsyncExitStack() as running:
        started: list[Here] = []

        async def start(
            routes: Callable[[HawkAPI], object] = lambda _: None, **fields: Any
        ) -> Here:
            given = {"primary": spare_cluster.primary_url, "replicas": spare_cluster.replica_urls}
            app = create_app(Settings(**(given | fields)))
            routes(app)
            await running.enter_async_context(lifespan(app))
            started.append(Here(app, app.state.db))
            return started[-1]

        yield start
        assert [each.database.checked_out for each in started] == [0] * len(started)


@pytest.fixture
def tokens() -> Tokens:
    """What writes and reads tokens that are good for 30 seconds."""
    return Tokens(SECRET, 30.0)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock that tokens see."""

    def set_clock(now: float) -> None:
        monkeypatch.setattr(token_module, "time", lambda: now)

    return set_clock


@pytest.fixture
async def stocked(spare_cluster: Cluster) -> Cluster:
    """A cluster with the tables of `authors`, and what `stock` stores, on all servers."""
    await create_authors(spare_cluster)
    database = Database.from_configs({"primary": DatabaseConfig(spare_cluster.primary_url)})
    await stock(database)
    await database.dispose()
    spare_cluster.wait_for_catch_up()
    return spare_cluster


@pytest.fixture
def sent(stocked: Cluster) -> Iterator[Sent]:
    """What sessions send to the servers of `stocked`."""
    with listening(stocked) as sent:
        yield sent


@pytest.fixture
async def shop(stocked: Cluster, sent: Sent) -> AsyncIterator[HawkAPI]:
    """An application on `stocked`, whose start-up is over."""
    async with application(configs(stocked)) as app:
        sent.take()
        yield app


@pytest.fixture
def stored(stocked: Cluster, sent: Sent) -> Callable[[], Awaitable[list[str]]]:
    """Ask the primary which authors there are beyond those in stock."""

    async def names() -> list[str]:
        database = Database.from_configs({"primary": DatabaseConfig(stocked.primary_url)})
        async with database.session(commit=False) as session:
            found = await session.scalars(NAMES.where(Author.name.not_like("author%")))
            answer = list(found)
        await database.dispose()
        sent.take()
        return answer

    return names


type Work = Callable[[AsyncSession], Awaitable[object]]
type Requested = Callable[..., Awaitable[Reply]]


@pytest.fixture
def request_to() -> Requested:
    """Send an application a request, whose handler does some work with sessions."""
    numbers = itertools.count()

    async def send(
        app: HawkAPI, work: Work, dependency: Any = get_split_session, status: int = 200
    ) -> Reply:
        path = f"/work-{next(numbers)}"

        @app.post(path)
        async def handler(session: AsyncSession = Depends(dependency)) -> Response:
            await work(session)
            return Response(b"{}", status_code=status, content_type="application/json")

        return await call(app, "POST", path)

    return send
