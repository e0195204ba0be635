"""aiosqlite's connection, with an end that leaves no lock behind and does not wait for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import aiosqlite

__all__ = ["Connection", "connect"]

_PATIENCE = 0.1
"""Seconds after which a statement that still runs is interrupted."""
_CLOSE_TIMEOUT = 5.0
"""Seconds that closing then waits for the connection's thread."""


class Connection(aiosqlite.Connection):
    """A connection that rolls back before it is closed.

    SQLite keeps a closed connection's transaction, and its write lock with it, as long as one of
    its statements exists (https://www.sqlite.org/c3ref/close.html). The traceback of a cancelled
    task is enough to keep one.
    """

    def stop(self) -> asyncio.Future[Any] | None:
        """Roll back, close, and stop the thread after what it is doing, without waiting for it.

        Returns:
            What is done when the thread is; `None` outside an event loop.
        """
        if self._connection is not None:
            self._queue.put_nowait((None, self._connection.rollback))
        stopped: asyncio.Future[Any] | None = super().stop()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # a bare Future
        return stopped

    @property
    def _queue(self) -> Any:
        """What the thread takes its work from."""
        return self._tx  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # a bare Future

    async def close(self) -> None:
        """Stop, and wait for it; but not for a thread that itself waits for another's lock."""
        connection = self._connection
        if connection is None or not self._running:
            return
        stopped = self.stop()
        if stopped is None:
            return
        done, _ = await asyncio.wait([stopped], timeout=_PATIENCE)
        if not done:
            # A long statement of a cancelled task. Only now: an interruption that finds nothing
            # running would hit the rollback, if a half-read SELECT is open.
            connection.interrupt()
            await asyncio.wait([stopped], timeout=_CLOSE_TIMEOUT)


def connect(database: str, *, iter_chunk_size: int = 64, **arguments: Any) -> Connection:
    """Make a connection; awaiting it opens it.

    Args:
        database: The file, or its URI.
        iter_chunk_size: Rows that an iteration fetches at once.
        **arguments: Arguments of `sqlite3.connect`.
    """
    connection = Connection(lambda: sqlite3.connect(database, **arguments), iter_chunk_size)
    # A thread that is forgotten must not keep the process from ending.
    connection._thread.daemon = True  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # as SQLAlchemy does
    return connection
