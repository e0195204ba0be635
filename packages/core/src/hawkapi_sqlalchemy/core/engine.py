"""One database's engine: its pool, its session factories, its event loop."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine as SyncEngine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from hawkapi_sqlalchemy.core.access import OPTION, Access
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.dialects import DialectPolicy, policy_for
from hawkapi_sqlalchemy.core.events import listen_to_connects, listen_to_transactions
from hawkapi_sqlalchemy.core.pool import DatabasePool
from hawkapi_sqlalchemy.core.sessions import DatabaseSession, mark_session

__all__ = ["Engine", "create_engine"]

_ABANDON_TIMEOUT = 5.0
_QUEUE_ARGUMENTS = ("pool_size", "max_overflow", "pool_timeout", "pool_recycle", "pool_use_lifo")
"""What a pool that keeps connections takes, and one that keeps none refuses or has no use for."""


class Engine:
    """An async engine and its session factory, for one database.

    Made by `create_engine` or `Database.add`. It opens no connection before it is used, and
    serves one event loop at a time: when it is used in another one, the connections of the first
    are closed and new ones opened.

    Args:
        config: The database.
        name: Its name, as errors and the pool report it. Default `"primary"`.

    Attributes:
        engine: SQLAlchemy's `AsyncEngine`.
        sessionmaker: Factory of plain writing sessions. Who calls it owns the session: nothing
            commits or closes it.
        config: The configuration it was made from.
        name: The database's name.

    Raises:
        ConfigurationError: The driver is not installed; the message names the extra.
    """

    def __init__(self, config: DatabaseConfig, *, name: str = "primary") -> None:
        self.config = config
        self.name = name
        self._policy = policy_for(config)
        self._policy.require_driver()
        self._open: dict[int, Any] = {}
        self._unwanted: set[int] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.engine: AsyncEngine = create_async_engine(
            self._policy.engine_url(), **_engine_kwargs(config, name, self._policy)
        )
        sync_engine = self.engine.sync_engine
        listen_to_connects(sync_engine, name, config, self._policy)
        listen_to_transactions(sync_engine, name, self._policy)
        _track(sync_engine, self._open, self._unwanted)
        self._policy.open()
        # For connections that are taken from the engine itself.
        sync_engine.update_execution_options(**self._options(Access.MANUAL))
        self._makers = {access: self._maker(access) for access in Access}
        self.sessionmaker: async_sessionmaker[AsyncSession] = self._makers[Access.WRITE]
        # Without a dispose (a test client runs no shut-down) the drivers would complain of
        # forgotten connections at some later time.
        # It watches what every session and connection refers to, which may outlive this wrapper.
        weakref.finalize(sync_engine, _abandon_all, self._open, self._policy)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.config!r})"

    def _options(self, access: Access) -> dict[str, Any]:
        if access is Access.READ or self.config.read_only:
            return {OPTION: Access.READ, **self._policy.view_options()}
        return {OPTION: access}

    def _maker(self, access: Access) -> async_sessionmaker[AsyncSession]:
        arguments: dict[str, Any] = {
            "bind": self.engine.execution_options(**self._options(access)),
            "sync_session_class": DatabaseSession,
            "expire_on_commit": False,
            # A session that is used after its end raises, where SQLAlchemy's default would begin
            # a transaction that nobody commits.
            "close_resets_only": False,
        }
        return async_sessionmaker(**(arguments | dict(self.config.session_kwargs)))

    @property
    def checked_out(self) -> int:
        """Connections in use right now; 0 for a pool that does not count them."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    @property
    def is_saturated(self) -> bool:
        """Whether a new session would have to wait for a connection."""
        pool = self.engine.pool
        return isinstance(pool, DatabasePool) and pool.free_slots <= 0

    @property
    def pool_limits(self) -> tuple[int, int] | None:
        """Connections that the pool keeps, and may open beyond; `None` for one without a bound."""
        pool = self.engine.pool
        if isinstance(pool, DatabasePool) and pool.max_overflow >= 0:
            return pool.size(), pool.max_overflow
        return None

    def session(self, access: Access) -> AsyncSession:
        """Make a session. The caller ends it with `end_session`.

        Args:
            access: How it may be used.

        Raises:
            RuntimeError: The engine is in use by another event loop that is still running.
        """
        self.enter_loop()
        return mark_session(self._makers[access](), self.name, access)

    def enter_loop(self) -> None:
        """Bind the engine to the running event loop, leaving an earlier one.

        Raises:
            RuntimeError: The earlier loop is still running, in another thread.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        previous, self._loop = self._loop, loop
        if previous is None:
            return
        if previous.is_running():
            self._loop = previous
            raise RuntimeError(
                f"database {self.name!r} is in use by another running event loop; give each loop "
                "a Database of its own"
            )
        self._leave(previous)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        left = list(self._open.values())
        self._open.clear()
        self._unwanted.clear()
        # The pool is replaced without a word to its connections: their loop is not running.
        self.engine.sync_engine.dispose(close=False)
        self._policy.loop_changed()
        if not self._policy.loop_bound or loop.is_closed():
            for connection in left:
                self._policy.abandon(connection)
            return

        async def close_all() -> None:
            for connection in left:
                self._policy.abandon(connection)
            await asyncio.sleep(0)

        # A loop that stands still but is open (a synchronous test client's) can be run elsewhere
        # for the moment that its sockets need to close.
        thread = threading.Thread(target=loop.run_until_complete, args=(close_all(),), daemon=True)
        thread.start()
        thread.join(_ABANDON_TIMEOUT)

    async def max_connections(self) -> int | None:
        """Ask how many connections the server accepts; `None` where that means nothing."""
        self.enter_loop()
        async with self.engine.connect() as connection:
            return await self._policy.max_connections(connection)

    async def probe(self) -> None:
        """Run `SELECT 1`, past the pool if the pool is exhausted: a busy server is not a dead one.

        Raises:
            SQLAlchemyError: The database does not answer.
        """
        self.enter_loop()
        if not self.is_saturated:
            async with self.engine.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")
            return
        async with self._unpooled().connect() as connection:
            await connection.exec_driver_sql("SELECT 1")

    def _unpooled(self) -> AsyncEngine:
        arguments = _engine_kwargs(self.config, self.name, self._policy)
        for pooled in _QUEUE_ARGUMENTS:
            arguments.pop(pooled, None)
        engine = create_async_engine(
            self._policy.engine_url(), **(arguments | {"poolclass": NullPool})
        )
        listen_to_connects(engine.sync_engine, self.name, self.config, self._policy)
        return engine

    async def dispose(self) -> None:
        """Close every idle connection; those in use are closed when they come back.

        An in-memory SQLite database ends here. Disposing twice does nothing more.

        Raises:
            RuntimeError: The engine is in use by another event loop that is still running.
        """
        self.enter_loop()
        try:
            await self.engine.dispose()
        finally:
            # SQLAlchemy would put these back into a pool that nobody has any more.
            self._unwanted.update(self._open)
            self._policy.close()


def create_engine(config: DatabaseConfig, *, name: str = "primary") -> Engine:
    """Make an engine for a database. No connection is opened yet.

    Args:
        config: The database.
        name: Its name, as errors and the pool report it. Default `"primary"`.

    Returns:
        The engine. Its owner calls `await engine.dispose()`.

    Raises:
        ConfigurationError: The driver is not installed; the message names the extra.
    """
    return Engine(config, name=name)


def _engine_kwargs(config: DatabaseConfig, name: str, policy: DialectPolicy) -> dict[str, Any]:
    given = dict(config.engine_kwargs)
    arguments: dict[str, Any] = {
        "echo": config.echo,
        "poolclass": DatabasePool,
        "pool_logging_name": name,
        "pool_recycle": config.pool_recycle,
        **policy.engine_kwargs(),
        **given,
    }
    if "pool" in given:
        # A pool that is there already takes none of these.
        for argument in ("poolclass", "pool_logging_name", "pool_recycle", "pool_pre_ping"):
            arguments.pop(argument, None)
    elif issubclass(arguments["poolclass"], QueuePool):
        sizes = {
            "pool_size": config.pool_size,
            "max_overflow": config.max_overflow,
            "pool_timeout": config.pool_timeout,
        }
        arguments = sizes | arguments
    arguments["connect_args"] = _merged(
        policy.connect_args(), config.connect_args, given.get("connect_args", {})
    )
    return arguments


def _merged(*mappings: Mapping[str, Any]) -> dict[str, Any]:
    """Merge arguments, the later over the earlier, and mappings inside them likewise."""
    merged: dict[str, Any] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            merged[key] = {**merged[key], **value} if both else value
    return merged


def _track(engine: SyncEngine, connections: dict[int, Any], unwanted: set[int]) -> None:
    """Know every open connection, also those that a session holds.

    Args:
        engine: The engine below the `AsyncEngine`.
        connections: The open ones, kept up to date.
        unwanted: Those to close when they come back.
    """

    @event.listens_for(engine, "connect")
    def opened(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        connections[id(connection)] = record.driver_connection

    @event.listens_for(engine, "close")
    def closed(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        del record
        forget(connection)

    @event.listens_for(engine, "close_detached")
    def closed_detached(connection: DBAPIConnection) -> None:
        forget(connection)

    @event.listens_for(engine, "checkin")
    def came_back(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        if id(connection) in unwanted:
            record.close()

    def forget(connection: DBAPIConnection) -> None:
        connections.pop(id(connection), None)
        unwanted.discard(id(connection))

    del opened, closed, closed_detached, came_back


def _abandon_all(connections: dict[int, Any], policy: DialectPolicy) -> None:
    for connection in connections.values():
        policy.abandon(connection)
    connections.clear()
    policy.close()
