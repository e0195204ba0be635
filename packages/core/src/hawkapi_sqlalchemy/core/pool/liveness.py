"""Is a pooled connection still alive? Asked when it is lent out, at no round trip where possible.

Asking the server costs a round trip at every checkout. A connection that was in use a moment ago is
asked only if something is known against it: the driver has closed it, or its socket has something
to say that nobody has read, which is how a server's farewell looks. HikariCP leaves out the test in
the same way, for half a second after the last use
(https://github.com/brettwooldridge/HikariCP, `aliveBypassWindowMs`).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Any, Protocol

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import await_only

__all__ = ["IDLE_SINCE", "Prober", "idle_since", "listen_to_liveness"]

IDLE_SINCE = "hawkapi_idle_since"
"""The key, in the pooled connection's `info`, of the moment when it came back."""


class Prober(Protocol):
    """What a dialect knows of its driver's connections."""

    def seems_alive(self, driver_connection: Any) -> bool:
        """Tell from this side alone; `False` means that the server has to be asked."""
        ...

    def ping(self, driver_connection: Any) -> Awaitable[object]:
        """Ask the server, within a time limit."""
        ...

    def abandon(self, driver_connection: Any) -> None:
        """Close a connection without a word to the server."""
        ...

    def ping_errors(self) -> tuple[type[Exception], ...]:
        """What `ping` raises when the connection is lost."""
        ...


def idle_since(record: ConnectionPoolEntry) -> float:
    """Tell when a pooled connection came back, on the monotonic clock; 0 for one never used."""
    return record.info.get(IDLE_SINCE, 0.0)


def listen_to_liveness(engine: Engine, prober: Prober, *, ping_after_idle: float) -> None:
    """Look at each connection when it is lent out; replace one that is lost.

    Args:
        engine: The engine below the `AsyncEngine`.
        prober: The dialect's knowledge.
        ping_after_idle: Seconds without use after which the server is asked in any case.
    """
    lost = (OSError, *prober.ping_errors())

    @event.listens_for(engine, "checkout")
    def checkout(
        connection: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
    ) -> None:
        del proxy
        since: float | None = record.info.get(IDLE_SINCE)
        if since is None:
            # Opened just now.
            return
        driver = connection.driver_connection
        idle_for_long = time.monotonic() - since >= ping_after_idle
        if not idle_for_long and prober.seems_alive(driver):
            return
        try:
            await_only(prober.ping(driver))
        except lost as error:
            # Nobody is there for the farewell that SQLAlchemy would now wait two seconds for.
            prober.abandon(driver)
            # After a long rest the others are likely gone as well, and asking one that is
            # unreachable can take a while: all are replaced. Otherwise each tells for itself.
            kind = InvalidatePoolError if idle_for_long else DisconnectionError
            raise kind(f"the connection is lost: {type(error).__name__}") from error

    del checkout
