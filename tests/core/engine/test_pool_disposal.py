"""The end of a pool: what is in use, who waits, and what must not be left behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.util import await_only, greenlet_spawn

from asgi import DEADLINE, until
from hawkapi_sqlalchemy.core import Database, DatabaseConfig, create_engine
from hawkapi_sqlalchemy.core.pool import DatabasePool

pytestmark = pytest.mark.dialects("sqlite")


def pool_of(database: Database) -> Any:
    pool = database.get().engine.pool
    assert isinstance(pool, DatabasePool)
    return pool


async def hold(pool: Any, number: int) -> list[Any]:
    return [await greenlet_spawn(pool.connect) for _ in range(number)]


async def give_back(connections: list[Any]) -> None:
    for each in connections:
        await greenlet_spawn(each.close)


async def test_what_is_idle_is_closed_at_once_and_what_is_in_use_when_it_comes_back(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters)
    pool, engine = pool_of(database), database.get()
    held = await hold(pool, 4)
    await give_back(held[2:])
    assert engine.open_connections == 4
    await database.dispose()
    assert engine.open_connections == 2
    assert (pool._open, pool.checkedin(), pool.checkedout()) == (2, 0, 2)
    await give_back(held[:2])
    assert engine.open_connections == 0
    assert (pool._open, pool.checkedin()) == (0, 0)


async def test_who_waits_when_the_pool_is_disposed_is_served_by_what_comes_back(
    counters: str, make_database: Any
) -> None:
    """Not with the old connection, but with its place."""
    database: Database = make_database(
        counters, pool_size=2, max_overflow=0, pool_timeout=DEADLINE * 2
    )
    pool = pool_of(database)
    held = await hold(pool, 2)
    drivers = {each.driver_connection for each in held}
    tasks = [asyncio.ensure_future(greenlet_spawn(pool.connect)) for _ in range(3)]
    await until(lambda: len(pool._line) == 3)
    await database.dispose()
    await give_back(held)
    async with asyncio.timeout(DEADLINE):
        first, second = await tasks[0], await tasks[1]
        assert drivers.isdisjoint({first.driver_connection, second.driver_connection})
        await give_back([first])
        await give_back([await tasks[2], second])
    assert pool._open == 0
    assert database.get().open_connections == 0


async def test_a_disposed_engine_starts_anew(counters: str, make_database: Any) -> None:
    database: Database = make_database(counters, pool_size=1, max_overflow=0, pool_timeout=5.0)
    old = pool_of(database)
    held = await hold(old, 1)
    await database.dispose()
    new = pool_of(database)
    assert new is not old
    fresh = await hold(new, 1)
    await give_back(held)
    assert (old._open, new._open) == (0, 1)
    await give_back(fresh)
    assert new.checkedin() == 1


async def test_no_timer_and_no_task_is_left_after_dispose(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=1, pool_max_idle=600.0)
    pool = pool_of(database)
    await give_back(await hold(pool, 3))
    timer = pool._shrinking._timer
    assert timer is not None
    await database.dispose()
    assert timer.cancelled()
    assert (pool._shrinking._timer, pool._shrinking._task) == (None, None)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_comes_back_to_a_disposed_pool_starts_no_timer(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=1, pool_max_idle=600.0)
    pool = pool_of(database)
    held = await hold(pool, 3)
    await database.dispose()
    await give_back(held)
    assert pool._shrinking._timer is None


async def test_dispose_waits_for_what_is_being_closed(counters: str, make_database: Any) -> None:
    """Otherwise the loop may end in the middle of it."""
    database: Database = make_database(counters, pool_size=1, pool_max_idle=0)
    pool = pool_of(database)
    closing, go_on = asyncio.Event(), asyncio.Event()

    @event.listens_for(database.get().engine.sync_engine, "close")
    def slowly(*_: object) -> None:
        if not closing.is_set():
            closing.set()
            await_only(go_on.wait())

    await give_back(await hold(pool, 3))
    await closing.wait()
    disposing = asyncio.ensure_future(database.dispose())
    await until(lambda: pool._disposed and not pool._idle)
    assert not disposing.done()
    go_on.set()
    await disposing
    assert pool._open == 0
    assert pool._shrinking._task is None
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_timer_that_is_set_does_not_keep_the_engine_alive(database_url: str) -> None:
    engine = create_engine(DatabaseConfig(database_url, pool_size=1, pool_max_idle=600.0))
    pool: Any = engine.engine.pool
    await give_back(await hold(pool, 3))
    timer = pool._shrinking._timer
    assert timer is not None
    left = [weakref.ref(engine), weakref.ref(engine.engine.sync_engine), weakref.ref(pool)]
    del engine, pool
    gc.collect()
    assert [each() for each in left] == [None] * 3
    timer.cancel()


async def test_a_look_at_a_pool_that_is_gone_does_nothing(database_url: str) -> None:
    engine = create_engine(DatabaseConfig(database_url, pool_size=1, pool_max_idle=600.0))
    pool: Any = engine.engine.pool
    await give_back(await hold(pool, 3))
    shrinking = pool._shrinking
    shrinking._timer.cancel()
    del engine, pool
    gc.collect()
    shrinking._look()
    await shrinking._task
    assert (shrinking._timer, shrinking._task) == (None, None)


async def test_a_connection_that_fails_to_close_stops_neither_the_shrinking_nor_the_counting(
    counters: str,
    make_database: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    database: Database = make_database(counters, pool_size=1, pool_max_idle=0)
    pool = pool_of(database)
    dialect: Any = database.get().engine.dialect
    terminate = dialect.do_terminate

    def fail(connection: Any) -> None:
        terminate(connection)
        raise OSError("the server said something odd")

    monkeypatch.setattr(dialect, "do_terminate", fail)
    await give_back(await hold(pool, 4))
    await until(lambda: pool._open == 1)
    assert database.get().open_connections == 1
    monkeypatch.undo()
    assert caplog.text.count("Exception terminating connection") == 3


async def test_a_detached_connection_is_closed_when_it_is_given_back(database_url: str) -> None:
    engine = create_engine(DatabaseConfig(database_url))
    async with engine.engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        raw.detach()
    with pytest.raises(ValueError, match=r"[Cc]onnection"):
        await driver.execute("SELECT 1")
    await engine.dispose()
