"""What the tests of faults share: services that notice each leaked connection, and their rows."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from asgi import until
from dbservers.server import DatabaseServer
from schema import Base, Entry
from service import Service


@pytest.fixture(autouse=True)
def without_garbage_collector() -> Iterator[None]:
    """What comes back only when the garbage collector runs has not come back."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
async def spare_url(spare_server: DatabaseServer) -> AsyncIterator[str]:
    """The URL of a fresh database with the tables, on a server that may be stopped."""
    name = spare_server.create_database()
    url = spare_server.url(name)
    await create_tables(url)
    yield url
    if not spare_server.running:
        spare_server.start()
    spare_server.resume()
    spare_server.drop_database(name)


async def create_tables(url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


@pytest.fixture(name="create_tables", scope="session")
def create_tables_fixture() -> Callable[[str], Awaitable[None]]:
    """Create the tables in a database."""
    return create_tables


@pytest.fixture
async def new_service() -> AsyncIterator[Callable[..., Service]]:
    """Make services; after the test none of them may have a connection in use.

    By default a pool has one connection, which nobody asks for a minute whether it is alive: all
    that is found out within that minute is found out in another way.
    """
    made: list[Service] = []

    def make(url: str, **config: Any) -> Service:
        limits = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 15.0, "ping_after_idle": 60.0}
        made.append(Service(url, **(limits | config)))
        return made[-1]

    yield make
    for service in made:
        assert service.database.checked_out == 0
        await service.database.dispose()
        await until(lambda: service.database.get().open_connections == 0)  # noqa: B023  # awaited here


@pytest.fixture
def tags() -> Callable[[str], Awaitable[list[str]]]:
    """Ask, on a connection of its own, which entries a database has, in order of their tags."""

    async def stored(url: str) -> list[str]:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.connect() as connection:
            found = list(await connection.scalars(select(Entry.tag).order_by(Entry.tag)))
        await engine.dispose()
        return found

    return stored
