"""Work that is tried again when the server asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from hawkapi_sqlalchemy.core.faults import is_retryable

__all__ = ["run_with_retries"]


async def run_with_retries[T](
    work: Callable[[], Awaitable[T]], *, attempts: int, max_wait: float, deadline: float
) -> T:
    """Run a unit of work, and again after a deadlock, a serialisation failure or a lock time-out.

    Args:
        work: The whole unit, from its BEGIN to its COMMIT.
        attempts: How often it may run.
        max_wait: The longest pause between two runs, in seconds; pauses grow from some
            milliseconds, at random, so that those who collided do not meet again.
        deadline: Seconds after the start when no further run begins.

    Returns:
        What the work returned.

    Raises:
        Exception: The last run's error, or the first that a new run cannot heal.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception(is_retryable),
        stop=stop_after_attempt(attempts) | stop_before_delay(deadline),
        wait=wait_random_exponential(multiplier=0.02, max=max_wait),
        reraise=True,
    )
    return await retrying(work)
