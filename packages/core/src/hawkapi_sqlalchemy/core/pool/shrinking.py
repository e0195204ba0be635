"""Closes what a pool keeps beyond its size, once nobody has used it for a while."""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import TYPE_CHECKING

from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only, greenlet_spawn

from hawkapi_sqlalchemy.core.pool.liveness import idle_since

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.core.pool.queue import DatabasePool

__all__ = ["Shrinking"]


class Shrinking:
    """Looks at one pool from time to time, as long as it is larger than it has to be.

    Args:
        pool: The pool. It is not kept alive.
        max_idle: Seconds that a superfluous connection may lie unused.
    """

    def __init__(self, pool: DatabasePool, max_idle: float) -> None:
        self._pool = weakref.ref(pool)
        self._max_idle = max_idle
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Begin to look, if nobody does yet."""
        if self._timer is None and self._task is None:
            self._look_in(self._max_idle)

    def stop(self) -> None:
        """Look no more, and wait for what is being closed. Called in SQLAlchemy's greenlet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            await_only(asyncio.wait([self._task]))

    def _look_in(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._shrink())

    async def _shrink(self) -> None:
        try:
            while (pool := self._pool()) is not None:
                close = pool.take_superfluous(self._is_old)
                if close is None:
                    break
                await greenlet_spawn(close)
        finally:
            self._task = None
        if pool is not None and (oldest := pool.oldest_superfluous) is not None:
            self._look_in(max(0.0, idle_since(oldest) + self._max_idle - time.monotonic()))

    def _is_old(self, record: ConnectionPoolEntry) -> bool:
        return time.monotonic() - idle_since(record) >= self._max_idle
