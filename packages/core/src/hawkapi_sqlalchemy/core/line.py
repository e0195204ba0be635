"""A line of those who wait for something, served in the order of their arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

__all__ = ["Line"]


class Line[T]:
    """Hands what comes back to the first who waits.

    A queue that only wakes the first lets others take what was meant for it: whoever runs earlier
    gets it, and the first waits again, behind all others.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[asyncio.Future[T], Callable[[T], None]]] = deque()

    def __len__(self) -> int:
        """How many wait."""
        return sum(not turn.done() for turn, _ in self._waiting)

    async def wait(self, timeout: float, give_back: Callable[[T], None]) -> T:
        """Wait for one's turn.

        Args:
            timeout: Seconds to wait.
            give_back: Takes back what was handed to one who no longer wants it.

        Raises:
            TimeoutError: The turn did not come in time.
        """
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[T] = loop.create_future()
        self._waiting.append((turn, give_back))
        timer = loop.call_later(timeout, _expire, turn)
        try:
            return await turn
        except BaseException:
            # Cancelled, or closed, perhaps in the moment between being served and running again.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                give_back(turn.result())
            turn.cancel()
            raise
        finally:
            timer.cancel()

    def serve(self, item: T) -> bool:
        """Hand something to the first in the line.

        Args:
            item: What was waited for.

        Returns:
            Whether anybody took it.
        """
        while self._waiting:
            turn, give_back = self._waiting.popleft()
            if turn.done():
                continue
            loop = turn.get_loop()
            if _is_running(loop):
                turn.set_result(item)
                return True
            if not loop.is_closed():
                # A forgotten connection comes back from wherever the garbage collector runs.
                loop.call_soon_threadsafe(_hand_over, turn, item, give_back)
                return True
        return False


def _hand_over[T](turn: asyncio.Future[T], item: T, give_back: Callable[[T], None]) -> None:
    if turn.done():
        give_back(item)
    else:
        turn.set_result(item)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _expire(turn: asyncio.Future[Any]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
