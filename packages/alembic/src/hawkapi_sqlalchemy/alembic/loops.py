"""Run a coroutine from synchronous code, whether or not an event loop runs."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Coroutine
from typing import Any

from sqlalchemy.util.concurrency import await_only, in_greenlet


def pause(seconds: float) -> None:
    """Wait, in the event loop where an async driver is in use: Ctrl-C then ends it at once."""
    if in_greenlet():
        await_only(asyncio.sleep(seconds))
    else:
        time.sleep(seconds)


def run_to_end[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in an event loop of its own and wait for it.

    If a loop runs in this thread, which is then blocked, the other loop gets a
    new thread with a copy of the caller's context variables.

    Args:
        work: What to run.

    Returns:
        Its result.

    Raises:
        BaseException: Whatever `work` raises.
    """
    if not _loop_runs():
        return asyncio.run(work)
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failure.append(error)

    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(run,), name="hawkapi-migrations"
    )
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
