"""What the tests of replication share: connections as those have that look at servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from hawkapi import HawkAPI
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from asgi import lifespan
from dbservers.clusters import Cluster
from replica_service.application import create_app
from replica_service.fixtures import create_items
from replica_service.here import Here
from replica_service.settings import Settings

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
