"""Writers of one SQLite database pass one by one, in the order in which they came.

SQLite itself lets waiting writers poll: whoever looks at the right moment wins, others starve, and
a cancelled one still blocks its thread until its time is up. Inside one process a queue does
better. Writers of other processes are met by SQLite's busy timeout behind it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.util import await_only

__all__ = ["WriteTurnstile"]


class WriteTurnstile:
    """A fair lock, held by a pooled connection from its BEGIN to its return.

    Args:
        timeout: Seconds to wait for the turn.
    """

    def __init__(self, timeout: float) -> None:
        self._lock = asyncio.Lock()
        self._timeout = timeout
        self._holder: dict[Any, Any] | None = None
        self._waiting = 0

    def enter(self, info: dict[Any, Any]) -> None:
        """Wait for the turn. Called in SQLAlchemy's greenlet.

        Args:
            info: The pooled connection's `info`, one and the same object as long as the pool
                keeps the connection; entering twice is one turn.

        Raises:
            OperationalError: The turn did not come in time; its `orig` says `SQLITE_BUSY`.
        """
        if self._holder is info:
            return
        if not self._waiting and not self._lock.locked():
            # Nobody is before us, so this comes back at once and needs no timer.
            await_only(self._lock.acquire())
        else:
            self._wait()
        self._holder = info

    def leave(self, info: dict[Any, Any]) -> None:
        """Let the next writer pass, if this connection held the turn."""
        if self._holder is info:
            self._holder = None
            self._lock.release()

    def _wait(self) -> None:
        self._waiting += 1
        try:
            await_only(asyncio.wait_for(self._lock.acquire(), self._timeout))
        except TimeoutError:
            error = sqlite3.OperationalError(
                f"database is locked: another transaction of this process held the write lock for "
                f"more than {self._timeout:g} s"
            )
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            error.sqlite_errorname = "SQLITE_BUSY"
            raise OperationalError("BEGIN IMMEDIATE", None, error) from None
        finally:
            self._waiting -= 1
