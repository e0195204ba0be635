"""What the tests of faults share: services that notice each leaked connection, and their rows."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event, make_url, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from asgi import until
from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until
from schema import Base, Entry
from service import Service
from tcp_proxy import Proxy, proxy_to


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


@pytest.fixture
def lose(url: str, database_server: DatabaseServer) -> Callable[[], None]:
    """End all connections to the fresh database, and wait until the server has let go of them.

    The event loop stands still meanwhile, so that nothing on this side has heard of it.
    """
    name = str(make_url(url).database)

    def end() -> None:
        database_server.disconnect(name)
        wait_until(
            lambda: database_server.count_connections(name) == 0, what="connections are gone"
        )

    return end


class Once:
    """Does something at the first occasion of an event of an engine, or at every one.

    Args:
        engine: The engine.
        name: SQLAlchemy's name of the event.
        do: What to do.
        about: What the statement must mention, for `before_cursor_execute`.
        times: How often.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        name: str,
        do: Callable[[], object],
        *,
        about: str = "",
        times: int = 1,
    ) -> None:
        self.done = 0
        self.armed = False
        self._do = do
        self._about = about
        self._times = times
        if name == "before_cursor_execute":
            event.listen(engine.sync_engine, name, self._statement)
        else:
            event.listen(engine.sync_engine, name, self._any)

    def _statement(
        self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if self._about in statement:
            self._act()

    def _any(self, *_: object) -> None:
        self._act()

    def _act(self) -> None:
        if self.armed and self.done < self._times:
            self.done += 1
            self._do()


@pytest.fixture(scope="session")
def once() -> type[Once]:
    """Do something at an event of an engine, from when it is `armed`."""
    return Once


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the server of the fresh database."""
    parts = make_url(url)
    async with proxy_to(str(parts.host), int(parts.port or 0)) as running:
        yield running


@pytest.fixture
def proxied_url(url: str, proxy: Proxy) -> str:
    """The URL of the fresh database, through the proxy."""
    return make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
