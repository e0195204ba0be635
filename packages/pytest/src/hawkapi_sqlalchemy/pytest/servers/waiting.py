"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable


def wait_until[T](
    condition: Callable[[], T], *, what: str, timeout: float = 30.0, interval: float = 0.01
) -> T:
    """Call `condition` until it answers something true, and return that.

    Args:
        condition: What is polled.
        what: What is awaited, for the error message.
        timeout: The deadline in seconds.
        interval: The pause between two polls, in seconds.

    Raises:
        TimeoutError: The deadline has passed.
    """
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain until {what}")
        time.sleep(interval)
