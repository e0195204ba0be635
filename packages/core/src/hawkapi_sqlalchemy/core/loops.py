"""Tasks that may be left behind in an event loop that stops, and then end without a word."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, override

__all__ = ["background", "leave_tasks", "run_elsewhere"]

_TIMEOUT = 5.0

_under_way: dict[asyncio.Task[Any], _Work[Any]] = {}
"""What nobody has ended yet: the collector would do so at an odd moment, in an odd order."""


class _Work[T](Coroutine[Any, Any, T]):
    """What such a task does. It can be ended while its loop stands still, or is closed.

    asyncio has no way for that: it complains when a task is collected that has not ended, and
    Python when a coroutine has not begun.

    Args:
        begin: Makes the coroutine, when the loop has come to it.
    """

    def __init__(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._begin = begin
        self._begun: Coroutine[Any, Any, T] | None = None
        self._is_left = False
        self._thread = threading.current_thread()

    @property
    def can_be_closed(self) -> bool:
        """Whether `close` may be called here: greenlets live and die in one thread."""
        return self._thread is threading.current_thread() or not self._thread.is_alive()

    def leave(self) -> None:
        """Have the task end when it is its turn, if its loop ever runs again."""
        self._is_left = True

    @override
    def send(self, value: Any, /) -> Any:
        """Go on."""
        if self._is_left:
            raise asyncio.CancelledError
        if self._begun is None:
            self._begun = self._begin()
        return self._begun.send(value)

    @override
    def throw(self, error: Any, /, *rest: Any) -> Any:
        """Go on with an error."""
        if self._is_left or self._begun is None:
            self._is_left = True
            raise asyncio.CancelledError
        return self._begun.throw(error, *rest)

    @override
    def close(self) -> None:
        """End here."""
        self._is_left = True
        begun, self._begun = self._begun, None
        if begun is not None:
            begun.close()

    @override
    def __await__(self) -> Any:
        """Is not used: a task sends."""
        raise NotImplementedError


def background[T](begin: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
    """Make a task in the running loop that nobody misses when the loop goes without it.

    Args:
        begin: Makes the coroutine. It must be able to end without awaiting anything.
    """
    leave_tasks([each for each in _under_way if each.get_loop().is_closed()])
    work = _Work(begin)
    task = asyncio.get_running_loop().create_task(work)
    _under_way[task] = work
    task.add_done_callback(_forget)
    return task


def leave_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End tasks of event loops that are not the running one.

    Args:
        tasks: The tasks, made by `background`.
    """
    left: list[asyncio.Task[Any]] = []
    for task in tasks:
        loop = task.get_loop()
        if loop.is_running():
            loop.call_soon_threadsafe(task.cancel)
        elif (work := _under_way.get(task)) is not None:
            work.leave()
            left.append(task)
    if not left:
        return
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        _close(left)
    else:
        # Not here, where a greenlet of SQLAlchemy's may be running: what is raised in others ends
        # in the one that they were made in, and that is the loop's.
        running.call_soon(_close, left)


def run_elsewhere(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, object]) -> None:
    """Run a loop that stands still for a moment, in a thread of its own, and wait for that.

    Args:
        loop: The loop; neither closed nor running.
        work: What is done there; it is waited for 5 seconds.
    """
    # Those greenlets do not run in another thread either.
    leave_tasks([each for each in list(_under_way) if each.get_loop() is loop])
    thread = threading.Thread(target=loop.run_until_complete, args=(work,), daemon=True)
    thread.start()
    thread.join(_TIMEOUT)


def _close(tasks: Iterable[asyncio.Task[Any]]) -> None:
    standing: set[asyncio.AbstractEventLoop] = set()
    for task in tasks:
        work = _under_way.get(task)
        if work is None or not work.can_be_closed:
            continue
        del _under_way[task]
        # Its own `gather` does the same. The tasks of a task factory may be of another kind.
        with contextlib.suppress(AttributeError):
            setattr(task, "_log_destroy_pending", False)  # noqa: B010  # unknown to the type checker
        # Whatever a driver does that wants its loop, or its thread: this is over.
        with contextlib.suppress(Exception):
            work.close()
        if not task.get_loop().is_closed():
            standing.add(task.get_loop())
    for loop in standing:
        # Sockets need a turn to close.
        run_elsewhere(loop, asyncio.sleep(0))


def _forget(task: asyncio.Task[Any]) -> None:
    _under_way.pop(task, None)


def _leave_all() -> None:
    leave_tasks(list(_under_way))


atexit.register(_leave_all)
