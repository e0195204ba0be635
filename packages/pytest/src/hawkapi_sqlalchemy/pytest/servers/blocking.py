"""Asynchronous work, done from synchronous code."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run_blocking[T](work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in a loop and a thread of its own.

    The caller's thread may run a loop itself, which stands still meanwhile.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()
