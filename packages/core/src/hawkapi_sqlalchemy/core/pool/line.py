"""The line of those who wait for a connection, served in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only

__all__ = ["Line"]

type Served = ConnectionPoolEntry | None
"""A connection, or a place in the pool to open one."""


class Line:
    """Hands what comes back to the first who waits.

    A queue that only wakes the first lets others take what was meant for it: whoever runs earlier
    gets it, and the first waits again, behind all others.

    Args:
        give_back: Takes back what was handed to somebody who no longer wants it.
    """

    def __init__(self, give_back: Callable[[Served], None]) -> None:
        self._give_back = give_back
        self._waiting: deque[asyncio.Future[Served]] = deque()

    def wait(self, timeout: float) -> Served:
        """Wait for one's turn. Called in SQLAlchemy's greenlet.

        Args:
            timeout: Seconds to wait.

        Raises:
            TimeoutError: The turn did not come in time.
        """
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[Served] = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(timeout, _expire, turn)
        try:
            return await_only(turn)
        except asyncio.CancelledError:
            # Cancelled in the moment between being served and running again.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back(turn.result())
            turn.cancel()
            raise
        finally:
            timer.cancel()

    def serve(self, item: Served) -> bool:
        """Hand something to the first in the line.

        Args:
            item: A connection, or a place to open one.

        Returns:
            Whether anybody took it.
        """
        while self._waiting:
            turn = self._waiting.popleft()
            if turn.done():
                continue
            loop = turn.get_loop()
            if _is_running(loop):
                turn.set_result(item)
                return True
            if not loop.is_closed():
                # A forgotten connection comes back from wherever the garbage collector runs.
                loop.call_soon_threadsafe(self._hand_over, turn, item)
                return True
        return False

    def _hand_over(self, turn: asyncio.Future[Served], item: Served) -> None:
        if turn.done():
            self._give_back(item)
        else:
            turn.set_result(item)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _expire(turn: asyncio.Future[Served]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
