"""What `core/pool` relies on beyond SQLAlchemy's documented interface; 2.0 and 2.1 have it all.

A release of SQLAlchemy that changes one of these fails here, and says which.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool, PoolProxiedConnection, QueuePool
from sqlalchemy.util import greenlet_spawn

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.pool import DatabasePool

MEMORY = "sqlite+aiosqlite://"
BOOKS = {
    "_do_get",
    "_do_return_conn",
    "checkedin",
    "checkedout",
    "dispose",
    "overflow",
    "recreate",
    "size",
}
"""The methods that know how SQLAlchemy's own queue is kept."""

type Borrow = Callable[[], Awaitable[PoolProxiedConnection]]


@pytest.fixture
def pool(make_database: Any) -> DatabasePool:
    database: Database = make_database(MEMORY, pool_size=2, max_overflow=3, pool_timeout=4.0)
    pool = database.get().engine.pool
    assert isinstance(pool, DatabasePool)
    return pool


@pytest.fixture
def borrow(pool: DatabasePool) -> Borrow:
    return lambda: greenlet_spawn(pool.connect)


async def give_back(connection: PoolProxiedConnection) -> None:
    await greenlet_spawn(connection.close)


def record_of(connection: Any) -> Any:
    return connection._connection_record


def test_sqlalchemys_queue_is_asked_by_the_methods_that_are_overridden_and_no_others() -> None:
    """One that is new would look into SQLAlchemy's queue, which stays empty here."""
    looks = {
        name
        for name, method in vars(QueuePool).items()
        if inspect.isfunction(method)
        and name != "__init__"
        and {"_pool", "_overflow", "_overflow_lock"} & set(method.__code__.co_names)
    }
    own = {"_inc_overflow", "_dec_overflow"}
    assert looks <= BOOKS | own, f"new methods of QueuePool look into its queue: {looks - BOOKS}"
    for name in BOOKS:
        assert name in vars(DatabasePool), f"{name} is not overridden"
        assert hasattr(Pool, name) or hasattr(QueuePool, name), f"SQLAlchemy has no {name} any more"


@pytest.mark.parametrize("kind", [QueuePool, AsyncAdaptedQueuePool])
def test_the_queues_arguments_come_in_the_order_in_which_they_are_passed_on(
    kind: type[Pool],
) -> None:
    names = list(inspect.signature(kind).parameters)
    assert names[:5] == ["creator", "pool_size", "max_overflow", "timeout", "use_lifo"]


def test_a_pool_takes_the_arguments_that_recreate_passes_on() -> None:
    taken = set(inspect.signature(Pool).parameters)
    for name in (
        "pre_ping", "recycle", "echo", "logging_name", "reset_on_return", "_dispatch", "dialect",
    ):  # fmt: skip
        assert name in taken, f"Pool takes no {name} any more"


@pytest.mark.parametrize(
    "name",
    [
        "_creator", "_dialect", "_invalidate_time", "_max_overflow", "_orig_logging_name",
        "_pre_ping", "_recycle", "_reset_on_return", "_timeout", "dispatch", "echo", "logger",
        "logging_name",
    ],
)  # fmt: skip
async def test_a_pool_has_the_attributes_that_are_read(name: str, pool: DatabasePool) -> None:
    assert hasattr(pool, name), f"SQLAlchemy's pools have no {name} any more"


async def test_every_argument_of_the_engine_reaches_the_pool() -> None:
    """By the names in the signatures of the pool's classes, its own argument included."""
    engine = create_async_engine(
        MEMORY,
        poolclass=DatabasePool,
        pool_size=2,
        max_overflow=3,
        pool_timeout=4.0,
        pool_use_lifo=False,
        pool_recycle=5,
        pool_pre_ping=True,
        pool_logging_name="mine",
        pool_reset_on_return=None,
        max_idle=6.0,
    )
    pool: Any = engine.pool
    assert (pool._floor, pool._max_overflow, pool._timeout) == (2, 3, 4.0)
    assert (pool._use_lifo, pool._max_idle) == (False, 6.0)
    assert (pool._recycle, pool._pre_ping, pool.logging_name) == (5, True, "mine")
    assert pool._reset_on_return.name == "reset_none"
    assert pool._dialect is engine.dialect
    await engine.dispose()


async def test_a_pool_made_anew_has_the_same_settings_and_events(pool: DatabasePool) -> None:
    made: Any = pool.recreate()
    for name, value in vars(pool).items():
        if name in {"_open", "_idle", "_line", "_disposed", "_shrinking", "_invalidate_time"}:
            continue
        if name in {"_pool", "_overflow_lock", "dispatch", "logger"}:
            # SQLAlchemy's own, made for each pool.
            assert type(getattr(made, name)) is type(value)
            continue
        if name == "_invoke_creator":
            continue
        assert getattr(made, name) == value, f"recreate() loses {name}"
    for name in ("connect", "checkout", "checkin", "close"):
        assert list(getattr(made.dispatch, name)) == list(getattr(pool.dispatch, name)), name
    assert made._shrinking._max_idle == pool._max_idle
    assert made._shrinking._pool() is made


async def test_the_engine_replaces_a_pool_that_it_disposes(make_database: Any) -> None:
    engine = make_database(MEMORY).get().engine
    before = engine.pool
    await engine.dispose()
    assert engine.pool is not before
    assert type(engine.pool) is DatabasePool
    assert before._disposed


async def test_a_checkout_goes_through_do_get_and_a_return_through_do_return_conn(
    pool: DatabasePool, borrow: Borrow, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("_do_get", "_create_connection", "_do_return_conn"):

        def noted(*arguments: Any, name: str = name, way: Any = getattr(pool, name)) -> Any:
            calls.append(name)
            return way(*arguments)

        monkeypatch.setattr(pool, name, noted)
    connection = await borrow()
    assert calls == ["_do_get", "_create_connection"]
    calls.clear()
    await give_back(connection)
    assert calls == ["_do_return_conn"]
    await give_back(await borrow())
    assert calls == ["_do_return_conn", "_do_get", "_do_return_conn"]


async def test_a_connection_that_was_closed_comes_back_as_an_entry_without_one(
    pool: DatabasePool, borrow: Borrow
) -> None:
    returned: list[Any] = []
    way = pool._do_return_conn
    pool._do_return_conn = lambda record: (returned.append(record.dbapi_connection), way(record))
    connection = await borrow()
    await greenlet_spawn(connection.invalidate)
    assert returned == [None]
    assert pool._open == 0


async def test_a_detached_connection_gives_its_place_up(pool: DatabasePool, borrow: Borrow) -> None:
    connection = await borrow()
    connection.detach()
    assert (pool._open, pool.checkedout()) == (0, 0)
    await greenlet_spawn(connection.close)


async def test_an_entry_keeps_its_info_as_long_as_its_connection(
    pool: DatabasePool, borrow: Borrow
) -> None:
    """When a connection came back is written there, and must not outlive it."""
    connection = await borrow()
    record = record_of(connection)
    first = connection.driver_connection
    assert connection.info is record.info
    await give_back(connection)
    assert record.info, "the moment of its return is not noted"
    await greenlet_spawn(record.invalidate)
    assert await greenlet_spawn(record.get_connection) is not None
    assert record.driver_connection is not first
    assert not record.info
    await greenlet_spawn(record.close)
    assert record.dbapi_connection is None


async def test_what_is_older_than_the_pools_invalidate_time_is_replaced(
    pool: DatabasePool, borrow: Borrow
) -> None:
    first, second = await borrow(), await borrow()
    drivers = {first.driver_connection, second.driver_connection}
    await give_back(first)
    await give_back(second)
    before = pool._invalidate_time
    pool.distrust()
    assert pool._invalidate_time > before
    first, second = await borrow(), await borrow()
    assert drivers.isdisjoint({first.driver_connection, second.driver_connection})
    assert pool._open == 2
    await give_back(first)
    await give_back(second)


@pytest.mark.parametrize(
    ("error", "replaced"), [(exc.DisconnectionError, 1), (exc.InvalidatePoolError, 2)]
)
async def test_what_a_checkout_raises_replaces_one_connection_or_all(
    error: type[Exception], replaced: int, pool: DatabasePool, borrow: Borrow
) -> None:
    """And the listener is asked again about the new one, which has no history."""
    old = [await borrow(), await borrow()]
    drivers = {each.driver_connection for each in old}
    for each in old:
        await give_back(each)
    asked: list[dict[Any, Any]] = []

    @event.listens_for(pool, "checkout")
    def refuse_the_first(_: Any, record: Any, __: Any) -> None:
        asked.append(dict(record.info))
        if len(asked) == 1:
            raise error

    new = [await borrow(), await borrow()]
    assert len({each.driver_connection for each in new} - drivers) == replaced
    assert asked[0]
    assert not asked[1], "the info of a connection that was replaced is not cleared"
    for each in new:
        await give_back(each)
