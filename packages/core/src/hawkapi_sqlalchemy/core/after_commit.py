"""Work that follows a COMMIT."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only, greenlet_spawn

__all__ = ["CommitCallback", "has_callbacks", "on_commit", "watch_callbacks"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_QUEUE = "hawkapi_on_commit"


@dataclass(slots=True)
class CommitCallback:
    """A callback that was registered with `on_commit`.

    Attributes:
        function: The callback.
        arguments: Its positional arguments.
        savepoint: The innermost savepoint that it depends on; `None` for the whole transaction.
        has_run: Whether it has been called.
        error: What it raised, while `watch_callbacks` watches.
    """

    function: Callable[..., object]
    arguments: tuple[Any, ...]
    savepoint: SessionTransaction | None = None
    has_run: bool = False
    error: Exception | None = None


type Watcher = Callable[[CommitCallback], bool]
"""Told of a callback that is due; answers whether it may run."""

_watchers: list[Watcher] = []

_running: set[asyncio.Task[None]] = set()
"""Callbacks whose request was cancelled: a task that nobody holds may be collected."""


class _CommitQueue:
    """The callbacks of one session, moved along with its transactions' fates."""

    def __init__(self, session: Session) -> None:
        self._waiting: list[CommitCallback] = []
        self._due: list[CommitCallback] = []
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_soft_rollback", self._after_rollback)
        event.listen(session, "after_transaction_end", self._after_end)

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def add(self, callback: CommitCallback) -> None:
        self._waiting.append(callback)

    def _after_commit(self, session: Session) -> None:
        # SQLAlchemy reports the release of a savepoint through the same event.
        savepoint = session.get_nested_transaction()
        if savepoint is None:
            self._due, self._waiting = self._waiting, []
            return
        for callback in self._waiting:
            if callback.savepoint is savepoint:
                callback.savepoint = savepoint.parent if _is_nested(savepoint.parent) else None

    def _after_rollback(self, session: Session, ended: SessionTransaction) -> None:
        del session
        # A flush that fails is rolled back as a transaction of its own kind, and takes with it the
        # savepoint that it stood in, not more.
        boundary: SessionTransaction | None = ended
        while boundary is not None and not boundary.nested:
            boundary = boundary.parent
        if boundary is None:
            self._waiting.clear()
            return
        self._waiting = [each for each in self._waiting if not _within(each.savepoint, boundary)]

    def _after_end(self, session: Session, ended: SessionTransaction) -> None:
        if ended.parent is not None:
            return
        # Here the connection is back in the pool: a callback may use the database itself.
        due, self._due = self._due, []
        self._waiting.clear()
        _run_all(due)
        if due and session.in_transaction():
            logger.error(
                "an on_commit callback used the session whose COMMIT it followed; what it did "
                "there is rolled back. Open one of its own: `async with db.session() as session`"
            )
            session.rollback()


def _is_nested(transaction: SessionTransaction | None) -> bool:
    return transaction is not None and transaction.nested


def _within(savepoint: SessionTransaction | None, ended: SessionTransaction) -> bool:
    while savepoint is not None:
        if savepoint is ended:
            return True
        savepoint = savepoint.parent
    return False


def _run_all(callbacks: Sequence[CommitCallback]) -> None:
    for number, callback in enumerate(callbacks, start=1):
        try:
            _run(callback)
        except asyncio.CancelledError:
            # That one was interrupted. The others follow a COMMIT that has held all the same.
            _run_by_themselves(callbacks[number:])
            raise


def _run_by_themselves(callbacks: Sequence[CommitCallback]) -> None:
    if callbacks:
        task = asyncio.create_task(greenlet_spawn(_run_all, callbacks))
        _running.add(task)
        task.add_done_callback(_running.discard)


def _run(callback: CommitCallback) -> None:
    # All of them are told, also when one has refused.
    if _watchers and not all([watcher(callback) for watcher in _watchers]):  # noqa: C419  # see above
        return
    callback.has_run = True
    try:
        result = callback.function(*callback.arguments)
        if inspect.isawaitable(result):
            await_only(result)
    except Exception as error:
        if _watchers:
            # Not otherwise: its traceback refers to the callback, which the garbage collector
            # alone would then free.
            callback.error = error
        # The write is stored; an error here must not make it look as if it were not.
        logger.exception("on_commit callback %r failed; the COMMIT holds", callback.function)


def on_commit(session: AsyncSession | Session, callback: Callable[..., object], *args: Any) -> None:
    """Run a callback after the session's COMMIT has held, and never after a rollback.

    Callbacks run in the order in which they were registered, after the connection has gone back
    to the pool, and before `commit()` returns: in a request that is before the response leaves.
    Those registered inside a savepoint that is rolled back are dropped; so are all of them when
    the transaction is.

    A cancellation that comes when the COMMIT has held waits for them. One that comes while they run
    interrupts the one that is running, and the others run in a task of their own.

    A callback that needs the database opens a session of its own; what it does with the one that
    has committed is rolled back, and logged as an error.

    Args:
        session: The session whose commit is waited for.
        callback: A function or coroutine function. What it raises is logged, and does not turn
            the stored write into an error.
        *args: Its positional arguments.

    Example:
        ```python
        session.add(order)
        on_commit(session, send_receipt, order.email)
        ```
    """
    sync_session = session.sync_session if isinstance(session, AsyncSession) else session
    queue = sync_session.info.get(_QUEUE)
    if queue is None:
        queue = sync_session.info[_QUEUE] = _CommitQueue(sync_session)
    queue.add(CommitCallback(callback, args, sync_session.get_nested_transaction()))


@contextmanager
def watch_callbacks(watcher: Watcher) -> Generator[None]:
    """Have every callback that becomes due in this process reported, for the length of a block.

    For tests.

    Args:
        watcher: Called with each of them after its COMMIT, in whatever thread that happens. If it
            answers `False`, the callback does not run.
    """
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def has_callbacks(session: Session) -> bool:
    """Tell whether callbacks wait for a session's COMMIT.

    Args:
        session: The session below an `AsyncSession`.
    """
    queue: _CommitQueue | None = session.info.get(_QUEUE)
    return queue is not None and not queue.is_empty
