"""Who waits for a connection is served in turn, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from asgi import DEADLINE, until
from hawkapi_sqlalchemy.core import Database, DatabaseConfig, PoolExhaustedError
from hawkapi_sqlalchemy.core.dialects import policy_for
from hawkapi_sqlalchemy.core.pool import DatabasePool

on_sqlite = pytest.mark.dialects("sqlite")

type Borrow = Callable[[], Awaitable[PoolProxiedConnection]]


@pytest.fixture
def database(counters: str, make_database: Any) -> Database:
    """A Database of one connection."""
    return make_database(counters, pool_size=1, max_overflow=0, pool_timeout=DEADLINE * 2)


@pytest.fixture
def pool(database: Database) -> DatabasePool:
    pool = database.get().engine.pool
    assert isinstance(pool, DatabasePool)
    return pool


@pytest.fixture
def borrow(pool: DatabasePool) -> Borrow:
    return lambda: greenlet_spawn(pool.connect)


@pytest.fixture
def wait(pool: DatabasePool, borrow: Borrow) -> Callable[[], Awaitable[asyncio.Task[Any]]]:
    """Begin to wait for a connection, behind those who do already."""

    async def begin() -> asyncio.Task[Any]:
        before = len(pool._line)
        task = asyncio.ensure_future(borrow())
        await until(lambda: len(pool._line) == before + 1)
        return task

    return begin


async def give_back(connection: PoolProxiedConnection) -> None:
    await greenlet_spawn(connection.close)


def in_time() -> asyncio.Timeout:
    return asyncio.timeout(DEADLINE)


@on_sqlite
async def test_those_who_wait_are_served_in_the_order_of_arrival(
    borrow: Borrow, wait: Any, pool: DatabasePool
) -> None:
    held = await borrow()
    tasks = [await wait() for _ in range(5)]
    for task in tasks:
        driver = held.driver_connection
        await give_back(held)
        async with in_time():
            held = await task
        assert held.driver_connection is driver
        assert sum(each.done() for each in tasks) == tasks.index(task) + 1
    await give_back(held)
    assert (pool._open, pool.checkedin()) == (1, 1)


@on_sqlite
async def test_nobody_overtakes_one_who_has_been_served_and_does_not_run_yet(
    borrow: Borrow, wait: Any, pool: DatabasePool
) -> None:
    """A queue that only wakes the first would let the newcomer take it."""
    held = await borrow()
    first = await wait()
    await give_back(held)
    assert not first.done()
    assert pool.checkedin() == 0
    newcomer = await wait()
    async with in_time():
        held = await first
    assert not newcomer.done()
    await give_back(held)
    async with in_time():
        await give_back(await newcomer)


@on_sqlite
async def test_one_whose_time_is_up_is_told_the_state_of_the_pool(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=2, max_overflow=1, pool_timeout=0.02)
    pool = database.get().engine.pool
    held = [await greenlet_spawn(pool.connect) for _ in range(3)]
    with pytest.raises(PoolExhaustedError) as caught:
        await greenlet_spawn(pool.connect)
    error = caught.value
    assert (error.name, error.size, error.max_overflow) == ("primary", 2, 1)
    assert (error.checked_out, error.timeout) == (3, 0.02)
    assert len(pool._line) == 0
    for each in held:
        await give_back(each)
    assert (pool._open, pool.checkedin()) == (3, 3), "served one who no longer waited"


@on_sqlite
async def test_one_whose_time_is_up_does_not_hold_the_others_up(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=1, max_overflow=0, pool_timeout=0.02)
    pool: Any = database.get().engine.pool
    held = await greenlet_spawn(pool.connect)
    late = asyncio.ensure_future(greenlet_spawn(pool.connect))
    await until(lambda: len(pool._line) == 1)
    pool._timeout = DEADLINE * 2
    patient = asyncio.ensure_future(greenlet_spawn(pool.connect))
    with pytest.raises(PoolExhaustedError):
        await late
    await give_back(held)
    async with in_time():
        await give_back(await patient)


@on_sqlite
async def test_one_who_is_cancelled_while_waiting_is_passed_over(borrow: Borrow, wait: Any) -> None:
    held = await borrow()
    first, second = await wait(), await wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await give_back(held)
    async with in_time():
        await give_back(await second)


@on_sqlite
async def test_one_who_is_cancelled_when_just_served_hands_on_what_he_got(
    borrow: Borrow, wait: Any, pool: DatabasePool
) -> None:
    held = await borrow()
    driver = held.driver_connection
    first, second = await wait(), await wait()
    await give_back(held)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with in_time():
        held = await second
    assert held.driver_connection is driver
    last = await wait()
    await give_back(held)
    last.cancel()
    with pytest.raises(asyncio.CancelledError):
        await last
    assert (pool._open, pool.checkedin()) == (1, 1)


@on_sqlite
async def test_one_who_is_cancelled_when_just_given_a_place_hands_it_on(
    borrow: Borrow, wait: Any, pool: DatabasePool
) -> None:
    held = await borrow()
    first, second = await wait(), await wait()
    await greenlet_spawn(held.invalidate)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    async with in_time():
        held = await second
    last = await wait()
    await greenlet_spawn(held.invalidate)
    last.cancel()
    with pytest.raises(asyncio.CancelledError):
        await last
    assert (pool._open, pool.checkedin()) == (0, 0)


@pytest.mark.parametrize("end", ["invalidate", "detach"])
async def test_a_connection_that_is_closed_leaves_its_place_to_the_first_who_waits(
    end: str, borrow: Borrow, wait: Any, pool: DatabasePool
) -> None:
    held = await borrow()
    driver = held.driver_connection
    task = await wait()
    await greenlet_spawn(getattr(held, end))
    async with in_time():
        other = await task
    assert other.driver_connection is not driver
    assert pool._open == 1
    await give_back(other)
    await greenlet_spawn(held.close)


class Opening:
    """The way in which a pool opens its connections; the first one hangs."""

    def __init__(self, pool: Any, then: Exception | None = None) -> None:
        self._open = pool._create_connection
        self._then = then
        self.hangs = asyncio.Event()
        self.go_on = asyncio.Event()
        pool._create_connection = self

    def __call__(self) -> Any:
        if not self.hangs.is_set():
            self.hangs.set()
            await_only(self.go_on.wait())
            if self._then is not None:
                raise self._then
        return self._open()


@on_sqlite
async def test_one_who_cannot_connect_leaves_his_place_to_the_next(
    borrow: Borrow, wait: Any, pool: DatabasePool
) -> None:
    opening = Opening(pool, then=OSError("refused"))
    unlucky = asyncio.ensure_future(borrow())
    await opening.hangs.wait()
    second, third = await wait(), await wait()
    opening.go_on.set()
    with pytest.raises(OSError, match="refused"):
        await unlucky
    async with in_time():
        held = await second
    assert not third.done()
    await give_back(held)
    async with in_time():
        await give_back(await third)
    assert (pool._open, pool.checkedin()) == (1, 1)


@on_sqlite
async def test_one_who_is_cancelled_while_connecting_leaves_his_place(
    borrow: Borrow, wait: Any, pool: DatabasePool
) -> None:
    opening = Opening(pool)
    hanging = asyncio.ensure_future(borrow())
    await opening.hangs.wait()
    second = await wait()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
    async with in_time():
        await give_back(await second)
    assert pool._open == 1


@on_sqlite
async def test_one_who_was_handed_a_place_and_cannot_connect_hands_it_on(
    borrow: Borrow, wait: Any, pool: DatabasePool
) -> None:
    held = await borrow()
    second, third = await wait(), await wait()
    opening = Opening(pool, then=OSError("refused"))
    opening.go_on.set()
    await greenlet_spawn(held.invalidate)
    with pytest.raises(OSError, match="refused"):
        await second
    async with in_time():
        await give_back(await third)
    assert (pool._open, pool.checkedin()) == (1, 1)


@pytest.mark.filterwarnings("ignore:The garbage collector is trying to clean up")
async def test_a_forgotten_connection_that_is_collected_in_another_thread_wakes_one_who_waits(
    database: Database, wait: Any, pool: DatabasePool
) -> None:
    held: list[AsyncConnection] = [await database.get().engine.connect()]
    task = await wait()
    collector = threading.Thread(target=lambda: (held.clear(), gc.collect()))
    collector.start()
    async with in_time():
        await give_back(await task)
    collector.join()
    assert pool._open == 1


async def test_a_connection_whose_state_cannot_be_asked_gives_its_place_back(
    counters: str, make_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver raises for one that the application has closed behind the pool's back."""
    asked: list[Any] = []

    def refuse(_: Any, driver_connection: Any) -> bool:
        asked.append(driver_connection)
        raise AttributeError("the protocol is gone")

    # Before the pool is made, which keeps what it asks.
    policy = policy_for(DatabaseConfig(counters))
    monkeypatch.setattr(type(policy), "is_clean", refuse)
    database: Database = make_database(counters, pool_size=1, max_overflow=0, pool_timeout=5.0)
    for _ in range(2):
        async with database.session(commit=False) as session:
            await session.execute(text("SELECT 1"))
    assert len(asked) == 2
    assert asked[0] is not asked[1]
    assert database.checked_out == 0
