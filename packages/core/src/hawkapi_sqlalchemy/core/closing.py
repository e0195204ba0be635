"""The end of several engines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable

__all__ = ["dispose_all", "until_unused"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_POLL = 0.02


async def until_unused(
    in_use: Callable[[], int], timeout: float, *, busy: Callable[[], bool]
) -> bool:
    """Wait until no connection is in use.

    Args:
        in_use: Counts them.
        timeout: Seconds to wait.
        busy: Tells of other work to wait for.

    Returns:
        Whether it came to that in time.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while (left := in_use()) or busy():
        if loop.time() >= deadline:
            logger.warning(
                "shutting down with %d connections still in use after %g s", left, timeout
            )
            return False
        await asyncio.sleep(_POLL)
    return True


async def dispose_all(disposals: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Dispose each in any case, whichever of them fails.

    Args:
        disposals: The functions that do so.

    Raises:
        ExceptionGroup: What failed, after all have been tried.
    """
    errors: list[Exception] = []
    for dispose in disposals:
        try:
            await dispose()
        except Exception as error:  # noqa: BLE001  # collected, and raised below
            errors.append(error)
    if errors:
        raise ExceptionGroup("some engines could not be disposed", errors)
