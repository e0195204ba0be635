"""The connection pool: it shrinks slowly, serves in turn, and names itself when it is exhausted.

SQLAlchemy's `QueuePool` closes every connection beyond `pool_size` as soon as it comes back. Under
a load that needs one or two more, the pool then opens and closes server connections all the time.
Here they stay for a while.

A pool of one's own has no public interface: the methods overridden below are those by which
SQLAlchemy's own pools differ, in 2.0 and 2.1 alike. `tests/core/engine/test_pool_interface.py`
states what is relied on.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.core.errors import PoolExhaustedError
from hawkapi_sqlalchemy.core.line import Line
from hawkapi_sqlalchemy.core.pool.shrinking import Shrinking

__all__ = ["DatabasePool"]


class DatabasePool(AsyncAdaptedQueuePool):
    """A bounded pool of connections for one event loop.

    The connection that came back last is lent out first, so that those that a calmer load does not
    need grow old and can be closed. Who waits for a connection is served in the order of arrival;
    nobody overtakes.

    Args:
        creator: Opens a connection; given by SQLAlchemy.
        pool_size: Connections that stay open; 0 for no limit at all, and none closed.
        max_overflow: Connections that may be opened beyond; -1 for no limit.
        timeout: Seconds to wait for a free connection.
        use_lifo: Lend the latest first. With `False` the connections take turns, and a pool that
            has grown shrinks only when it is hardly used.
        max_idle: Seconds that a connection beyond `pool_size` may lie unused before it is closed.
        **arguments: Those of SQLAlchemy's `Pool`.
    """

    def __init__(
        self,
        creator: Any,
        pool_size: int = 5,
        max_overflow: int = 10,
        timeout: float = 30.0,
        # All by position: by them SQLAlchemy knows which of an engine's arguments are the pool's.
        use_lifo: bool = True,  # noqa: FBT001, FBT002  # SQLAlchemy's own signature
        max_idle: float = 60.0,
        **arguments: Any,
    ) -> None:
        super().__init__(creator, pool_size, max_overflow, timeout, use_lifo, **arguments)
        self._floor = pool_size
        self._ceiling = math.inf if pool_size == 0 or max_overflow < 0 else pool_size + max_overflow
        self._use_lifo = use_lifo
        self._max_idle = max_idle
        self._open = 0
        self._idle: deque[ConnectionPoolEntry] = deque()
        self._line: Line[ConnectionPoolEntry | None] = Line()
        self._disposed = False
        self._shrinking = Shrinking(self, max_idle) if pool_size else None

    def _do_get(self) -> ConnectionPoolEntry:
        """Answer a connection: an idle one, a new one, or the next that comes back.

        Raises:
            PoolExhaustedError: None became free within the pool's time limit.
        """
        if self._idle:
            return self._idle.pop() if self._use_lifo else self._idle.popleft()
        if self._open < self._ceiling:
            self._open += 1
        else:
            try:
                # A connection, or a place to open one.
                entry = await_only(self._line.wait(self._timeout, self._give_back))
            except TimeoutError:
                raise self._exhausted() from None
            if entry is not None:
                return entry
        # Here a place is ours: reserved above, or handed over by who gave its connection up.
        try:
            return self._create_connection()
        except BaseException:
            self._give_place_up()
            raise

    def _exhausted(self) -> PoolExhaustedError:
        return PoolExhaustedError(
            self.logging_name or "unnamed",
            size=self.size(),
            max_overflow=self.max_overflow,
            checked_out=self.checkedout(),
            timeout=self.timeout(),
        )

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if record.dbapi_connection is None:
            # Closed while it was out. An empty place serves the next one better than an entry that
            # would have to connect anew while others lie idle.
            self._give_place_up()
        elif self._disposed:
            self._close(record)
        elif not self._line.serve(record):
            self._idle.append(record)
            if self._shrinking is not None and self._open > self._floor:
                self._shrinking.watch()

    def _give_place_up(self) -> None:
        if not self._line.serve(None):
            self._open -= 1

    def _give_back(self, served: ConnectionPoolEntry | None) -> None:
        if served is None:
            self._give_place_up()
        else:
            self._do_return_conn(served)

    def _close(self, record: ConnectionPoolEntry) -> None:
        try:
            # A mere `close()` has asyncpg say goodbye without a time limit: one connection whose
            # server has fallen silent would hold up the application's end.
            record.invalidate()
        finally:
            self._give_place_up()

    def take_superfluous(
        self, is_old: Callable[[ConnectionPoolEntry], bool]
    ) -> Callable[[], None] | None:
        """Take the oldest idle connection out, if the pool can do without it.

        Args:
            is_old: Whether it has been idle long enough.

        Returns:
            A function that closes it, to be called in SQLAlchemy's greenlet; or `None`.
        """
        oldest = self.oldest_superfluous
        if oldest is None or not is_old(oldest):
            return None
        self._idle.popleft()
        return lambda: self._close(oldest)

    @property
    def oldest_superfluous(self) -> ConnectionPoolEntry | None:
        """The connection that has been idle longest, if the pool is larger than it has to be."""
        return self._idle[0] if self._idle and self._open > self._floor else None

    @property
    def max_overflow(self) -> int:
        """Connections that may be opened beyond `size()`; -1 for no limit."""
        return self._max_overflow

    @property
    def free_slots(self) -> float:
        """Connections that could be lent out right now without waiting."""
        return self._ceiling - self.checkedout()

    @property
    def demand(self) -> int:
        """Connections in use, and those who wait for one."""
        return self.checkedout() + len(self._line)

    def size(self) -> int:
        """Connections that stay open."""
        return self._floor

    def checkedin(self) -> int:
        """Idle connections."""
        return len(self._idle)

    def checkedout(self) -> int:
        """Connections in use, or being opened for use."""
        return self._open - len(self._idle)

    def overflow(self) -> int:
        """Open connections beyond `size()`; negative while there are fewer."""
        return self._open - self._floor if self._floor else 0

    def distrust(self) -> None:
        """Replace every connection that is open now, each before its next use."""
        # What SQLAlchemy does itself when a statement finds that the server is gone.
        self._invalidate_time = time.time()

    def recreate(self) -> DatabasePool:
        """Make an empty pool with the same settings and events."""
        self.logger.info("Pool recreating")
        return self.__class__(
            self._creator,
            pool_size=self._floor,
            max_overflow=self._max_overflow,
            timeout=self._timeout,
            use_lifo=self._use_lifo,
            max_idle=self._max_idle,
            pre_ping=self._pre_ping,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        """Close every idle connection now, and the others when they come back."""
        self._disposed = True
        while self._idle:
            self._close(self._idle.popleft())
        if self._shrinking is not None:
            self._shrinking.stop()
        self.logger.info("Pool disposed. %s", self.status())
