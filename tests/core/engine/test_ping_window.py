"""When the server is asked whether a connection is alive, and when a look at the socket will do."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import make_url, text

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import ConfigurationError, Database, DatabaseConfig
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.ending import end_session
from hawkapi_sqlalchemy.core.pool import IDLE_SINCE
from wire import PING, Wire

COUNT = text("SELECT n FROM counters WHERE id = 1")
PINGS = {PING, "SELECT 1", ";"}
"""Ours, and the one that SQLAlchemy's adapter for asyncpg sends."""

pytestmark = pytest.mark.dialects("postgresql", "mariadb")


class Asked:
    """A Database of one connection for each kind of session, through the relay."""

    def __init__(self, database: Database, wire: Wire, access: Access) -> None:
        self.database = database
        self._wire = wire
        self._access = access

    @property
    def bind(self) -> Any:
        engine = self.database.get()
        return engine._pools.reading if self._access is Access.READ else engine._pools.main

    @property
    def driver(self) -> Any:
        [driver] = self.bind.open.values()
        return driver

    async def use(self) -> int:
        """Use the connection once, and tell how often the server was asked."""
        self._wire.clear()
        session = self.database.open(access=self._access)
        await session.execute(COUNT)
        await end_session(session)
        return sum(each in PINGS for each in self._wire.statements)

    def rest(self, seconds: float) -> None:
        """Let the connection have been idle longer than it has."""
        [record] = self.bind.engine.pool._idle
        record.info[IDLE_SINCE] -= seconds


@pytest.fixture(params=[Access.WRITE, Access.READ], ids=lambda access: access.label)
def asked(request: pytest.FixtureRequest, wire: Wire, make_database: Any) -> Callable[..., Asked]:
    def make(**fields: Any) -> Asked:
        database = make_database(wire.url, pool_size=1, max_overflow=0, **fields)
        return Asked(database, wire, request.param)

    return make


async def test_a_window_of_nothing_asks_at_every_use_but_the_first(
    asked: Callable[..., Asked],
) -> None:
    it = asked(ping_after_idle=0)
    assert [await it.use() for _ in range(4)] == [0, 1, 1, 1]


async def test_within_the_window_a_quiet_connection_is_not_asked(
    asked: Callable[..., Asked],
) -> None:
    it = asked(ping_after_idle=600.0)
    assert [await it.use() for _ in range(4)] == [0] * 4
    it.rest(590.0)
    assert await it.use() == 0


async def test_one_that_was_idle_for_longer_is_asked_once(asked: Callable[..., Asked]) -> None:
    it = asked(ping_after_idle=600.0)
    await it.use()
    first = it.driver
    it.rest(601.0)
    assert [await it.use() for _ in range(3)] == [1, 0, 0]
    assert it.driver is first


async def test_without_pre_ping_it_is_never_asked(asked: Callable[..., Asked]) -> None:
    it = asked(pool_pre_ping=False, ping_after_idle=0)
    await it.use()
    it.rest(10_000.0)
    assert [await it.use() for _ in range(3)] == [0] * 3


async def test_the_engines_own_argument_wins_and_has_sqlalchemy_ask_at_every_use(
    asked: Callable[..., Asked],
) -> None:
    it = asked(ping_after_idle=600.0, engine_kwargs={"pool_pre_ping": True})
    assert it.database.get().engine.pool._pre_ping
    assert [await it.use() for _ in range(3)] == [0, 1, 1]


async def test_the_engines_own_argument_wins_and_has_nobody_ask(
    asked: Callable[..., Asked],
) -> None:
    it = asked(ping_after_idle=0, engine_kwargs={"pool_pre_ping": False})
    await it.use()
    it.rest(10_000.0)
    assert [await it.use() for _ in range(3)] == [0] * 3


async def test_after_a_long_rest_a_connection_that_is_dead_condemns_the_others(
    asked: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within the window each answers for itself."""
    it = asked(ping_after_idle=600.0)
    policy = it.database.get()._policy

    async def fail(_: object) -> None:
        raise OSError("gone")

    await it.use()
    for seconds, condemned in ((0.0, False), (601.0, True)):
        first, pool = it.driver, it.bind.engine.pool
        before = pool._invalidate_time
        it.rest(seconds)
        with monkeypatch.context() as patch:
            patch.setattr(policy, "ping", fail)
            patch.setattr(policy, "seems_alive", lambda _: False)
            await it.use()
        assert it.driver is not first
        assert (pool._invalidate_time > before) is condemned


async def heard(url: str, server: DatabaseServer, driver: Any, sql: str) -> None:
    """Have the server say something, and wait, without the loop, until the socket has it."""
    socket = driver._transport.get_extra_info("socket")
    speaker = threading.Thread(
        target=server.execute, args=(sql, str(make_url(url).database)), daemon=True
    )
    # The event loop stands still meanwhile: it would read what comes.
    speaker.start()
    speaker.join()
    readable, _, _ = select.select([socket.fileno()], [], [], 20.0)
    assert readable


@pytest.fixture
def listener(database_url: str, counters: str, make_database: Any) -> Any:
    """A Database whose only connection listens to the channel `news`, and what it has heard."""

    async def make(**fields: Any) -> tuple[Database, Any, list[str]]:
        database: Database = make_database(database_url, pool_size=1, max_overflow=0, **fields)
        news: list[str] = []
        async with database.session() as session:
            connection = await session.connection()
            driver: Any = (await connection.get_raw_connection()).driver_connection
            await driver.add_listener("news", lambda *message: news.append(message[-1]))
        return database, driver, news

    return make


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize("pre_ping", [True, False])
async def test_a_message_that_waits_in_the_socket_leads_to_one_ping_and_the_connection_stays(
    pre_ping: bool,
    listener: Any,
    database_url: str,
    database_server: DatabaseServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A notification looks like a farewell until it is read; only the server can tell."""
    database, driver, news = await listener(ping_after_idle=600.0, pool_pre_ping=pre_ping)
    policy = database.get()._policy
    pings: list[object] = []
    ping = policy.ping
    monkeypatch.setattr(policy, "ping", lambda driver: (pings.append(driver), ping(driver))[1])
    await heard(database_url, database_server, driver, "NOTIFY news, 'hello'")
    async with database.session() as session:
        await session.execute(COUNT)
    assert pings == [driver]
    assert news == ["hello"]
    for _ in range(2):
        async with database.session() as session:
            await session.execute(COUNT)
    assert pings == [driver]
    assert list(database.get()._pools.main.open.values()) == [driver]
    await asyncio.sleep(0)


@pytest.mark.dialects("postgresql")
async def test_a_farewell_that_waits_in_the_socket_replaces_the_connection(
    listener: Any, database_url: str, database_server: DatabaseServer
) -> None:
    database, driver, _ = await listener(ping_after_idle=600.0)
    await heard(
        database_url,
        database_server,
        driver,
        f"SELECT pg_terminate_backend({driver.get_server_pid()})",
    )
    async with database.session() as session:
        await session.execute(COUNT)
    [other] = database.get()._pools.main.open.values()
    assert other is not driver


@pytest.mark.dialects("sqlite")
async def test_sqlite_is_never_asked(counters: str, make_database: Any) -> None:
    database: Database = make_database(counters, ping_after_idle=0)
    engine = database.get()
    assert not engine._policy.can_be_lost
    assert len(list(engine.engine.sync_engine.pool.dispatch.checkout)) == 0


@pytest.mark.parametrize("field", ["ping_after_idle", "pool_max_idle"])
@pytest.mark.parametrize("seconds", [-1, -0.001, float("-inf")])
def test_a_negative_number_of_seconds_is_refused(field: str, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{field} is a number of seconds, 0 or more"):
        DatabaseConfig("postgresql+asyncpg://host/app", **{field: seconds})


@pytest.mark.parametrize(("field", "default"), [("ping_after_idle", 0.5), ("pool_max_idle", 60.0)])
def test_the_window_has_its_documented_default(field: str, default: float) -> None:
    assert getattr(DatabaseConfig("postgresql+asyncpg://host/app"), field) == default


@pytest.mark.dialects("mariadb")
async def test_a_connection_whose_transport_is_closing_is_not_asked(
    counters: str, make_database: Any
) -> None:
    """uvloop closes the transport of a reset connection, and then raises a RuntimeError."""
    database: Database = make_database(counters)
    async with database.session(commit=False) as session:
        driver = (await (await session.connection()).get_raw_connection()).driver_connection
        policy = database.get()._policy
        await policy.ping(driver)
        driver._writer.transport.abort()
        with pytest.raises(ConnectionResetError):
            await policy.ping(driver)
        await session.invalidate()
