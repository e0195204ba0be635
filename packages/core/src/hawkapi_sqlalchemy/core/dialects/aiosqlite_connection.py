"""aiosqlite's connection, with few visits to its thread and an end that leaves no lock behind.

Every visit costs some tens of microseconds, and more under load: the queue, the thread's turn with
the interpreter, the way back into the event loop. So BEGIN waits for the first statement and goes
with it, COMMIT and ROLLBACK stay away when nothing is open, and a cursor fetches while it is there.

All that is taken from aiosqlite beyond its documented interface is in this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from operator import methodcaller
from queue import SimpleQueue
from typing import Any, Self

import aiosqlite
from aiosqlite.core import (
    _STOP_RUNNING_SENTINEL as _STOP,  # pyright: ignore[reportPrivateUsage]  # ends the thread
)

from hawkapi_sqlalchemy.core.dialects.aiosqlite_cursor import Cursor

__all__ = ["Connection", "connect"]

_PATIENCE = 0.1
"""Seconds after which a statement that still runs is interrupted."""
_CLOSE_TIMEOUT = 5.0
"""Seconds that closing then waits for the connection's thread."""
_CLOSED = "no active connection"
"""aiosqlite's words, which every SQLAlchemy takes for a lost connection."""
_COMMIT = methodcaller("commit")
_ROLLBACK = methodcaller("rollback")


class Connection(aiosqlite.Connection):
    """A connection that begins lazily, rolls back before it is closed, and ends without a loop too.

    SQLite keeps a closed connection's transaction, and its write lock with it, as long as one of
    its statements exists (https://www.sqlite.org/c3ref/close.html). The traceback of a cancelled
    task is enough to keep one.

    Args:
        database: The file, or its URI.
        arguments: Arguments of `sqlite3.connect`.
        iter_chunk_size: Rows that an iteration over a cursor fetches at once.

    Attributes:
        on_begin: Called in the thread between a delayed BEGIN and its statement.
    """

    def __init__(self, database: str, arguments: dict[str, Any], iter_chunk_size: int) -> None:
        super().__init__(self._open, iter_chunk_size)
        self._database = database
        self._arguments = arguments
        self._opened: sqlite3.Connection | None = None
        self._ended: Future[None] = Future()
        self._begin: str | None = None
        self._streams_next = False
        self._open_streams: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()
        # The first counts in the event loop, the second in the thread.
        self._asked = 0
        self._answered = 0
        self.on_begin: Callable[[], object] | None = None
        # A thread that is forgotten must not keep the process from ending.
        self._thread.daemon = True

    def begin_later(self, statement: str) -> None:
        """Begin a transaction together with whatever is run first.

        If BEGIN fails, that is not run, and the next try begins again. If nothing is run until
        COMMIT or ROLLBACK, there was no transaction.

        Args:
            statement: The BEGIN.
        """
        self._begin = statement

    def stream_next(self) -> None:
        """Leave the rows of the statement that is executed next in SQLite, to be fetched later."""
        self._streams_next = True

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, or will be with the next statement."""
        return super().in_transaction or self._begin is not None

    def cursor(self) -> Cursor:  # pyright: ignore[reportIncompatibleMethodOverride]  # it has what aiosqlite's has
        """Make a cursor, without a visit to the thread."""
        return Cursor(self, self._iter_chunk_size)

    async def commit(self) -> None:
        """Commit what is open.

        Raises:
            sqlite3.Error: SQLite refused; what is open stays open.
        """
        await self._finish(_COMMIT)

    async def rollback(self) -> None:
        """Roll back what is open."""
        await self._finish(_ROLLBACK)

    def call[**P, T](
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Run a function in the thread, after a delayed BEGIN.

        Args:
            function: The function.
            *args: Its arguments.
            **kwargs: Its arguments by name.

        Returns:
            What it answers or raises, to be awaited.

        Raises:
            ValueError: The connection is closed.
        """
        return self._visit(partial(self._run, function, *args, **kwargs))

    # All that aiosqlite does in its thread goes through it, so nothing runs before that BEGIN.
    _execute = call  # pyright: ignore[reportAssignmentType]  # a future is awaited like a coroutine

    def opened(self) -> sqlite3.Connection:
        """Answer sqlite3's connection; used in its thread alone."""
        return self._conn

    def streams(self) -> bool:
        """Tell, once, whether `stream_next` was called."""
        streams, self._streams_next = self._streams_next, False
        return streams

    def keep(self, cursor: sqlite3.Cursor) -> None:
        """Remember a cursor that is left open, to close it before the connection."""
        self._open_streams.add(cursor)

    @property
    def has_open_streams(self) -> bool:
        """Whether somebody still holds a result that was not read to its end.

        Its statement keeps the state of the data that it began with, for all that follows on this
        connection (https://www.sqlite.org/isolation.html).
        """
        return len(self._open_streams) > 0

    def stop(self) -> None:
        """Roll back, close, and end the thread after what it is doing, without waiting for it."""
        if self._running:
            self._running = False
            queue: SimpleQueue[Any] = self._tx  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # half typed
            queue.put_nowait((None, self._end))

    async def close(self) -> None:
        """Stop, and wait for it; but not for a thread that itself waits for another's lock."""
        self.stop()
        ended = asyncio.wrap_future(self._ended)
        done, _ = await asyncio.wait([ended], timeout=_PATIENCE)
        if not done and self._opened is not None:
            # A long statement of a cancelled task. Only now: an interruption that finds nothing
            # running would hit the rollback, if a half-read SELECT is open.
            self._opened.interrupt()
            await asyncio.wait([ended], timeout=_CLOSE_TIMEOUT)

    async def _connect(self) -> Self:
        """Open it; what awaiting a connection does."""
        if self._connection is None:
            try:
                self._connection = await self._send(self._open)
            except BaseException:
                self.stop()
                raise
        return self

    def _open(self) -> sqlite3.Connection:
        # Kept here too: who is cancelled while it opens never learns of it.
        self._opened = sqlite3.connect(self._database, **self._arguments)
        return self._opened

    def _visit[T](self, function: Callable[[], T]) -> asyncio.Future[T]:
        if not self._running or self._connection is None:
            raise ValueError(_CLOSED)
        return self._send(function)

    def _send[T](self, function: Callable[[], T]) -> asyncio.Future[T]:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked += 1
        queue: SimpleQueue[Any] = self._tx  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # half typed
        queue.put_nowait((None, partial(self._answer, future, function)))
        return future

    def _answer(self, future: asyncio.Future[Any], function: Callable[[], Any]) -> None:
        """Run a function, in the thread, and bring the event loop what came of it.

        That loop may be closed by then. With a future of its own to settle, aiosqlite's thread
        would end of it, and the connection keep its locks for good. Without one it passes over it.
        """
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  # the asker's, whatever it is
            self._tell(future, _set_exception, error)
        else:
            self._tell(future, _set_result, result)

    def _tell(self, future: asyncio.Future[Any], settle: Callable[..., None], what: object) -> None:
        self._answered += 1
        future.get_loop().call_soon_threadsafe(settle, future, what)

    def _run[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._begin is not None:
            self._conn.execute(self._begin)
            self._begin = None
            if not self._running:
                # Who asked has gone while BEGIN waited for a lock.
                raise ValueError(_CLOSED)
            if self.on_begin is not None:
                self.on_begin()
        return function(*args, **kwargs)

    async def _finish(self, end: Callable[[sqlite3.Connection], None]) -> None:
        # The thread may still be about to begin for someone who was cancelled.
        if self._asked == self._answered and not super().in_transaction:
            self._begin = None
            return
        await self._visit(partial(self._finish_now, end))

    def _finish_now(self, end: Callable[[sqlite3.Connection], None]) -> None:
        self._begin = None
        end(self._conn)

    def _end(self) -> object:
        """Close, in the thread; the answer ends it."""
        connection, self._opened, self._connection = self._opened, None, None
        if connection is not None:
            for cursor in self._open_streams:
                cursor.close()
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._ended.set_result(None)
        return _STOP


def _set_result(future: asyncio.Future[Any], result: object) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def connect(database: str, *, iter_chunk_size: int = 64, **arguments: Any) -> Connection:
    """Make a connection; awaiting it opens it.

    Args:
        database: The file, or its URI.
        iter_chunk_size: Rows that an iteration over a cursor fetches at once.
        **arguments: Arguments of `sqlite3.connect`.
    """
    return Connection(database, arguments, iter_chunk_size)
