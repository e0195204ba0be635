"""The pool grows to what is needed, keeps that for a while, and shrinks to its size again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.util import await_only, greenlet_spawn

from asgi import until
from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.pool import IDLE_SINCE, DatabasePool
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until

ONE = text("SELECT 1")

on_sqlite = pytest.mark.dialects("sqlite")


class Counted:
    """A Database's pool, with what was opened on it."""

    def __init__(self, database: Database) -> None:
        self.engine = database.get().engine
        self.opened = 0
        event.listen(self.engine.sync_engine, "connect", self._count)

    def _count(self, *_: object) -> None:
        self.opened += 1

    @property
    def pool(self) -> DatabasePool:
        pool = self.engine.pool
        assert isinstance(pool, DatabasePool)
        return pool

    @property
    def idle(self) -> list[Any]:
        """The connections that lie idle, the one that came back first in front."""
        return [record.driver_connection for record in self.pool._idle]

    @asynccontextmanager
    async def in_use(self, number: int) -> AsyncIterator[list[Any]]:
        """Hold so many connections, and give them back in the order in which they were lent."""
        held = [await greenlet_spawn(self.pool.connect) for _ in range(number)]
        yield [each.driver_connection for each in held]
        for each in held:
            await greenlet_spawn(each.close)

    def age(self, number: int, seconds: float = 1000.0) -> None:
        """Let the oldest idle connections have been idle longer than they have."""
        for record in list(self.pool._idle)[:number]:
            record.info[IDLE_SINCE] -= seconds

    async def look(self) -> None:
        """Do now what the pool's timer does when its time has come."""
        shrinking: Any = self.pool._shrinking
        if shrinking._timer is not None:
            shrinking._timer.cancel()
        shrinking._look()
        await shrinking._task


@pytest.fixture
def counted(database_url: str, make_database: Any) -> Callable[..., Counted]:
    return lambda **fields: Counted(make_database(database_url, **fields))


@on_sqlite
async def test_only_what_is_needed_at_once_is_opened(counted: Callable[..., Counted]) -> None:
    it = counted(pool_size=2, max_overflow=3)
    assert it.pool._open == 0
    for number in (1, 3, 2, 3, 5):
        async with it.in_use(number):
            assert (it.pool.checkedout(), it.pool.checkedin()) == (number, it.pool._open - number)
    assert it.opened == 5
    assert (it.pool._open, it.pool.checkedin(), it.pool.overflow()) == (5, 5, 3)


@on_sqlite
async def test_the_latest_is_lent_first(counted: Callable[..., Counted]) -> None:
    """So those that a calmer load does not need grow old."""
    it = counted()
    async with it.in_use(3) as drivers:
        pass
    async with it.in_use(1) as [latest]:
        assert latest is drivers[-1]
    assert it.idle == drivers
    async with it.in_use(3) as lent:
        assert lent == drivers[::-1]
    assert it.opened == 3


@on_sqlite
async def test_connections_take_turns_where_the_application_wants_them_to(
    counted: Callable[..., Counted],
) -> None:
    it = counted(engine_kwargs={"pool_use_lifo": False})
    async with it.in_use(3) as drivers:
        pass
    for each in [*drivers, *drivers]:
        async with it.in_use(1) as lent:
            assert lent == [each]


@pytest.mark.dialects("postgresql", "mariadb")
async def test_superfluous_connections_are_closed_at_the_server_down_to_the_pools_size(
    counted: Callable[..., Counted], database_url: str, database_server: DatabaseServer
) -> None:
    it = counted(pool_size=2, max_overflow=4, pool_max_idle=0.05)
    name = str(make_url(database_url).database)
    async with it.in_use(6) as drivers:
        pass
    await until(lambda: it.pool._open == 2)
    assert it.idle == drivers[-2:]
    await asyncio.to_thread(
        wait_until, lambda: database_server.count_connections(name) == 2, what="four are closed"
    )
    async with it.in_use(2) as lent:
        assert set(lent) == set(drivers[-2:])
    assert it.opened == 6


@on_sqlite
async def test_a_pool_that_has_shrunk_grows_and_shrinks_again(
    counted: Callable[..., Counted],
) -> None:
    it = counted(pool_size=1, max_overflow=3, pool_max_idle=0.02)
    for rounds in (1, 2, 3):
        async with it.in_use(4):
            assert it.opened == 1 + 3 * rounds
        await until(lambda: it.pool._open == 1)


@on_sqlite
async def test_a_superfluous_connection_stays_until_its_time_has_come(
    counted: Callable[..., Counted],
) -> None:
    it = counted(pool_size=1, max_overflow=4, pool_max_idle=60.0)
    async with it.in_use(5) as drivers:
        pass
    await it.look()
    assert it.idle == drivers
    it.age(2)
    await it.look()
    assert it.idle == drivers[2:]
    it.age(3)
    await it.look()
    assert it.idle == drivers[4:]
    it.age(1)
    await it.look()
    assert it.idle == drivers[4:], "closed one that belongs to the pool's size"
    assert it.opened == 5


@on_sqlite
async def test_connections_in_use_count_for_the_pools_size(counted: Callable[..., Counted]) -> None:
    """What lies idle beside them is superfluous."""
    it = counted(pool_size=2, max_overflow=4, pool_max_idle=60.0)
    async with it.in_use(5) as drivers:
        pass
    async with it.in_use(3):
        it.age(2)
        await it.look()
        assert (it.pool._open, it.pool.checkedin()) == (3, 0)
    assert it.idle == drivers[:1:-1]


@on_sqlite
async def test_the_next_look_is_due_when_the_oldest_will_have_been_idle_long_enough(
    counted: Callable[..., Counted],
) -> None:
    it = counted(pool_size=1, max_overflow=2, pool_max_idle=60.0)
    shrinking: Any = it.pool._shrinking
    loop = asyncio.get_running_loop()
    async with it.in_use(1):
        assert shrinking._timer is None
    assert shrinking._timer is None, "a pool of its own size needs no look"
    async with it.in_use(3):
        pass
    first = shrinking._timer
    assert first.when() - loop.time() <= 60.0
    async with it.in_use(1):
        pass
    assert shrinking._timer is first, "a timer for each return would be waste"
    it.age(1, seconds=20.0)
    await it.look()
    assert shrinking._timer.when() - loop.time() <= 40.0
    it.age(2)
    await it.look()
    assert shrinking._timer is None


@on_sqlite
async def test_without_idle_time_a_superfluous_connection_is_closed_when_it_comes_back(
    counted: Callable[..., Counted],
) -> None:
    it = counted(pool_size=2, max_overflow=4, pool_max_idle=0)
    for _ in range(2):
        async with it.in_use(6):
            pass
        await until(lambda: it.pool._open == 2)
    assert it.opened == 6 + 4


@on_sqlite
async def test_an_overflow_without_limit_grows_and_shrinks_all_the_same(
    counted: Callable[..., Counted],
) -> None:
    it = counted(pool_size=1, max_overflow=-1, pool_max_idle=0.02)
    async with it.in_use(25):
        assert it.pool._open == 25
    await until(lambda: it.pool._open == 1)


@on_sqlite
async def test_a_pool_without_a_size_keeps_every_connection(
    counted: Callable[..., Counted],
) -> None:
    it = counted(pool_size=0, pool_max_idle=0)
    for _ in range(2):
        async with it.in_use(25):
            pass
    assert (it.opened, it.pool._open, it.pool.checkedin()) == (25, 25, 25)
    assert it.pool._shrinking is None


async def test_a_steady_load_opens_no_connection_once_it_is_warm(
    counted: Callable[..., Counted],
) -> None:
    """Eight tasks on a pool of five: SQLAlchemy's own pool opens and closes all the time."""
    it = counted(pool_size=5, max_overflow=10)
    together = asyncio.Barrier(8)

    async def work() -> None:
        async with it.engine.connect() as connection:
            await connection.execute(ONE)
            # Once, all at the same time.
            await together.wait()
        for _ in range(50):
            async with it.engine.connect() as connection:
                await connection.execute(ONE)

    await asyncio.gather(*(work() for _ in range(8)))
    assert it.opened == 8
    assert it.pool._open == 8


@on_sqlite
async def test_a_connection_that_is_lent_while_an_older_one_is_closed_stays(
    counted: Callable[..., Counted],
) -> None:
    it = counted(pool_size=1, max_overflow=2, pool_max_idle=60.0)
    async with it.in_use(3) as drivers:
        pass
    it.age(3)
    closing, go_on = asyncio.Event(), asyncio.Event()

    @event.listens_for(it.engine.sync_engine, "close")
    def slowly(*_: object) -> None:
        closing.set()
        await_only(go_on.wait())

    shrinking: Any = it.pool._shrinking
    shrinking._look()
    task = shrinking._task
    await closing.wait()
    async with it.in_use(2) as lent:
        go_on.set()
        await task
        assert it.pool._open == 2
    assert lent == it.idle == drivers[:0:-1]
