"""aiosqlite's connection, with an end that leaves no lock behind and does not wait for ever."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import aiosqlite
from aiosqlite.core import (
    _STOP_RUNNING_SENTINEL as _STOP,  # pyright: ignore[reportPrivateUsage]  # ends the thread
)

__all__ = ["Connection", "connect"]

_PATIENCE = 0.1
"""Seconds after which a statement that still runs is interrupted."""
_CLOSE_TIMEOUT = 5.0
"""Seconds that closing then waits for the connection's thread."""


class Connection(aiosqlite.Connection):
    """A connection that rolls back before it is closed, and ends without an event loop too.

    SQLite keeps a closed connection's transaction, and its write lock with it, as long as one of
    its statements exists (https://www.sqlite.org/c3ref/close.html). The traceback of a cancelled
    task is enough to keep one.

    Args:
        database: The file, or its URI.
        arguments: Arguments of `sqlite3.connect`.
        iter_chunk_size: Rows that an iteration fetches at once.
    """

    def __init__(self, database: str, arguments: dict[str, Any], iter_chunk_size: int) -> None:
        super().__init__(self._open, iter_chunk_size)
        self._database = database
        self._arguments = arguments
        self._opened: sqlite3.Connection | None = None
        self._ended: Future[None] = Future()
        # A thread that is forgotten must not keep the process from ending.
        self._thread.daemon = True

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

    def _open(self) -> sqlite3.Connection:
        # Kept here too: who is cancelled while it opens never learns of it.
        self._opened = sqlite3.connect(self._database, **self._arguments)
        return self._opened

    def _end(self) -> object:
        """Close, in the thread; the answer ends it."""
        connection, self._opened, self._connection = self._opened, None, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._ended.set_result(None)
        return _STOP


def connect(database: str, *, iter_chunk_size: int = 64, **arguments: Any) -> Connection:
    """Make a connection; awaiting it opens it.

    Args:
        database: The file, or its URI.
        iter_chunk_size: Rows that an iteration fetches at once.
        **arguments: Arguments of `sqlite3.connect`.
    """
    return Connection(database, arguments, iter_chunk_size)
