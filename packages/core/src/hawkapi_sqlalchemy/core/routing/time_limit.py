"""A time limit that holds although what it ends is slow to end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hawkapi_sqlalchemy.core.loops import background, leave_tasks

__all__ = ["within"]

_ending: set[asyncio.Task[Any]] = set()
"""What was given up: a task that nobody holds may be collected before it is done."""


async def within[T](seconds: float, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Await something for so long, and then leave it to end by itself.

    A statement that is cancelled has its driver say farewell to the server first. One that has
    fallen silent is waited for: asyncpg's connections take two seconds more.

    Args:
        seconds: How long.
        work: Makes what is awaited; see `background`. It is cancelled when the time is over. When
            the caller is cancelled it is too, and its end is waited for.

    Raises:
        TimeoutError: It was not done in time.
        ConnectionError: It was cancelled, by nobody who has to do with the caller.
    """
    task = background(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except GeneratorExit:
        leave_tasks([task])
        raise
    except asyncio.CancelledError:
        # Who ends all this wants it to be over.
        if not task.cancelling():
            # Once: a second time would disturb the farewell to the server.
            task.cancel()
        await asyncio.wait({task})
        raise
    if task.cancelled():
        # As it is, the caller would take it for an end of its own.
        raise ConnectionError("the driver has cancelled it")
    if task.done():
        return task.result()
    _ending.add(task)
    task.add_done_callback(_ended)
    task.cancel()
    raise TimeoutError


def _ended(task: asyncio.Task[Any]) -> None:
    _ending.discard(task)
    if not task.cancelled():
        # Whatever it was: nobody asks any more.
        task.exception()
