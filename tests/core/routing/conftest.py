"""What the tests of replication share: connections as those have that look at servers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

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
