"""Clean-up that a cancelled test still finishes."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def finished[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end, even if the caller is cancelled meanwhile.

    Args:
        work: What must not be left half done.

    Returns:
        Its result.

    Raises:
        asyncio.CancelledError: The caller was cancelled; raised after `work`
            has ended.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            # Retrieved, so that asyncio does not report it as never seen.
            task.exception()
        raise cancelled
    return task.result()
