"""Work that follows a COMMIT."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only

__all__ = ["has_callbacks", "on_commit"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_QUEUE = "hawkapi_on_commit"


@dataclass(slots=True)
class _Callback:
    function: Callable[..., object]
    arguments: tuple[Any, ...]
    savepoint: SessionTransaction | None
    """The innermost savepoint that the callback depends on; `None` for the whole transaction."""


class _CommitQueue:
    """The callbacks of one session, moved along with its transactions' fates."""

    def __init__(self, session: Session) -> None:
        self._waiting: list[_Callback] = []
        self._due: list[_Callback] = []
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_soft_rollback", self._after_rollback)
        event.listen(session, "after_transaction_end", self._after_end)

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def add(self, callback: _Callback) -> None:
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
        for callback in due:
            _run(callback)
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


def _run(callback: _Callback) -> None:
    try:
        result = callback.function(*callback.arguments)
        if inspect.isawaitable(result):
            await_only(result)
    except Exception:
        # The write is stored; an error here must not make it look as if it were not.
        logger.exception("on_commit callback %r failed; the COMMIT holds", callback.function)


def on_commit(session: AsyncSession | Session, callback: Callable[..., object], *args: Any) -> None:
    """Run a callback after the session's COMMIT has held, and never after a rollback.

    Callbacks run in the order in which they were registered, after the connection has gone back
    to the pool, and before `commit()` returns: in a request that is before the response leaves.
    Those registered inside a savepoint that is rolled back are dropped; so are all of them when
    the transaction is.

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
    queue.add(_Callback(callback, args, sync_session.get_nested_transaction()))


def has_callbacks(session: Session) -> bool:
    """Tell whether callbacks wait for a session's COMMIT.

    Args:
        session: The session below an `AsyncSession`.
    """
    queue: _CommitQueue | None = session.info.get(_QUEUE)
    return queue is not None and not queue.is_empty
