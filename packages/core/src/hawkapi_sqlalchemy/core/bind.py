"""One SQLAlchemy engine with its pool, and every connection that it has opened."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine as SyncEngine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool, QueuePool

from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.dialects import DialectPolicy
from hawkapi_sqlalchemy.core.events import listen_to_connects
from hawkapi_sqlalchemy.core.pool import IDLE_SINCE, DatabasePool, listen_to_liveness

__all__ = ["PROBING_POOL", "Bind", "unpooled_engine"]

_QUEUE_ARGUMENTS = (
    "pool_size",
    "max_overflow",
    "pool_timeout",
    "pool_recycle",
    "pool_use_lifo",
    "max_idle",
)
"""What a pool that keeps connections takes, and one that keeps none refuses or has no use for."""


PROBING_POOL: Mapping[str, Any] = {
    "poolclass": DatabasePool,
    "pool_size": 1,
    "max_overflow": 1,
    "pool_timeout": 5.0,
    # Now and then it is asked who is behind the address.
    "pool_recycle": 60,
}
"""Of a pool that is asked now and then how the server is, whatever the sessions' pool is like."""


class Bind:
    """An `AsyncEngine`, made after a configuration and a dialect's policy.

    Args:
        config: The database.
        name: Its name, as errors and the pool report it.
        policy: Its dialect's policy.
        reading: Its connections are made read-only.
        curt: A connection that is given up is closed at once, without a farewell to the server that
            somebody would have to wait for.
        on_loss: Called when a connection is found to be lost.
        **arguments: Arguments of `create_async_engine`, over those of the configuration.

    Attributes:
        engine: The engine.
        open: Its open connections, those in use included, by the identity of SQLAlchemy's adapter.
    """

    def __init__(
        self,
        config: DatabaseConfig,
        name: str,
        policy: DialectPolicy,
        *,
        reading: bool = False,
        curt: bool = False,
        on_loss: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> None:
        self.open: dict[int, Any] = {}
        self._unwanted: set[int] = set()
        self.engine: AsyncEngine = create_async_engine(
            policy.engine_url(), **(_engine_arguments(config, name, policy) | arguments)
        )
        sync_engine = self.engine.sync_engine
        listen_to_connects(sync_engine, name, config, policy)
        if policy.can_be_lost:
            pings = config.pool_pre_ping and "pool_pre_ping" not in config.engine_kwargs
            after = config.ping_after_idle if pings else float("inf")
            listen_to_liveness(sync_engine, policy, ping_after_idle=after)
        if reading:
            _make_read_only(sync_engine, policy)
        if on_loss is not None:
            _listen_to_losses(sync_engine, on_loss)
        if curt:
            _end_curtly(sync_engine, policy)
        # Behind whatever may fail, or be cancelled, while a connection is opened: SQLAlchemy then
        # closes it without telling.
        _track(sync_engine, self.open, self._unwanted)
        is_clean = policy.is_clean_reader if reading else policy.is_clean
        _guard_return(sync_engine, self._unwanted, is_clean)
        # Without a dispose (a test client runs no shut-down) the drivers would complain of
        # forgotten connections at some later time.
        # It watches what every session and connection refers to, which may outlive this wrapper.
        weakref.finalize(sync_engine, _abandon_all, self.open, policy)

    @property
    def checked_out(self) -> int:
        """Connections in use right now; 0 for a pool that does not count them."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    @property
    def demand(self) -> int:
        """Connections in use, and those who wait for one, as far as the pool counts them."""
        pool = self.engine.pool
        return pool.demand if isinstance(pool, DatabasePool) else self.checked_out

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

    def distrust(self) -> None:
        """Replace every connection that is open now, each before its next use."""
        pool = self.engine.pool
        if isinstance(pool, DatabasePool):
            pool.distrust()

    def leave_loop(self) -> list[Any]:
        """Forget the pool without a word to its connections: their loop is not running.

        Returns:
            The driver's connections that were open.
        """
        left = list(self.open.values())
        self.open.clear()
        self._unwanted.clear()
        self.engine.sync_engine.dispose(close=False)
        return left

    async def dispose(self) -> None:
        """Close every idle connection; those in use are closed when they come back."""
        try:
            await self.engine.dispose()
        finally:
            # SQLAlchemy would put these back into a pool that nobody has any more.
            self._unwanted.update(self.open)


def unpooled_engine(config: DatabaseConfig, name: str, policy: DialectPolicy) -> AsyncEngine:
    """Make an engine that opens a connection at each use and keeps none.

    Args:
        config: The database.
        name: Its name, for errors.
        policy: Its dialect's policy.
    """
    arguments = _engine_arguments(config, name, policy)
    for pooled in _QUEUE_ARGUMENTS:
        arguments.pop(pooled, None)
    engine = create_async_engine(policy.engine_url(), **(arguments | {"poolclass": NullPool}))
    listen_to_connects(engine.sync_engine, name, config, policy)
    return engine


def _engine_arguments(config: DatabaseConfig, name: str, policy: DialectPolicy) -> dict[str, Any]:
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
        if issubclass(arguments["poolclass"], DatabasePool):
            arguments.setdefault("max_idle", config.pool_max_idle)
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


def _make_read_only(engine: SyncEngine, policy: DialectPolicy) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
        del record
        policy.make_read_only(connection)

    del connect


def _listen_to_losses(engine: SyncEngine, on_loss: Callable[[], None]) -> None:
    @event.listens_for(engine, "invalidate")
    def invalidate(
        connection: Any, record: ConnectionPoolEntry, error: BaseException | None
    ) -> None:
        del connection, record
        # Of one that is given up on this side there is none, or a cancellation.
        if isinstance(error, Exception):
            on_loss()

    del invalidate


def _end_curtly(engine: SyncEngine, policy: DialectPolicy) -> None:
    def terminate(dbapi_connection: Any) -> None:
        policy.abandon(dbapi_connection.driver_connection)

    # SQLAlchemy has no event in place of it, only for what comes before.
    engine.dialect.do_terminate = terminate


def _track(engine: SyncEngine, connections: dict[int, Any], unwanted: set[int]) -> None:
    """Know every open connection, also those that a session holds.

    Args:
        engine: The engine below the `AsyncEngine`.
        connections: The open ones, kept up to date.
        unwanted: Those to close when they come back, kept up to date likewise.
    """

    def forget(connection: DBAPIConnection) -> None:
        connections.pop(id(connection), None)
        # Another one may get its identity.
        unwanted.discard(id(connection))

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

    del opened, closed, closed_detached


def _guard_return(engine: SyncEngine, unwanted: set[int], is_clean: Callable[[Any], bool]) -> None:
    """Let only those connections back into the pool that another session may have.

    Args:
        engine: The engine below the `AsyncEngine`.
        unwanted: Those to close.
        is_clean: Whether a driver's connection is as the pool lent it.
    """

    @event.listens_for(engine, "checkin")
    def checkin(connection: Any, record: ConnectionPoolEntry) -> None:
        if connection is None:
            return
        if unwanted and id(connection) in unwanted:
            record.close()
            return
        try:
            clean = is_clean(connection.driver_connection)
        except Exception:  # noqa: BLE001  # a driver's, of a connection that the application closed
            # SQLAlchemy passes over what is raised here, and the pool's place would be lost.
            clean = False
        if clean:
            record.info[IDLE_SINCE] = time.monotonic()
        else:
            record.invalidate()

    del checkin


def _abandon_all(connections: dict[int, Any], policy: DialectPolicy) -> None:
    for connection in connections.values():
        policy.abandon(connection)
    connections.clear()
    policy.close()
