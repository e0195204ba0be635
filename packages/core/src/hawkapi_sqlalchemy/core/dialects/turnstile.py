"""Writers of one SQLite database pass one by one, in the order in which they came.

SQLite itself lets waiting writers poll: whoever looks at the right moment wins, others starve, and
a cancelled one still blocks its thread until its time is up. Inside one process a queue does
better. Writers of other processes are met by SQLite's busy timeout behind it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.core.line import Line

__all__ = ["WriteTurnstile"]


class WriteTurnstile:
    """A fair lock, held by a pooled connection until its return.

    It is waited for without a connection: those who wait keep none from readers, and the next
    writer gets the connection that the last one has left warm.

    Args:
        timeout: Seconds to wait for the turn.
    """

    def __init__(self, timeout: float) -> None:
        self._line: Line[None] = Line()
        self._timeout = timeout
        self._is_taken = False
        self._holder: dict[Any, Any] | None = None

    def lend(self, connect: Callable[[], PoolProxiedConnection]) -> PoolProxiedConnection:
        """Wait for the turn, then for a connection. Called in SQLAlchemy's greenlet.

        Args:
            connect: Checks a connection out.

        Raises:
            OperationalError: The turn did not come in time; its `orig` says `SQLITE_BUSY`.
        """
        self._wait()
        try:
            connection = connect()
        except BaseException:
            self._pass_on()
            raise
        self._holder = connection.info
        return connection

    def enter(self, info: dict[Any, Any]) -> None:
        """Wait for the turn with a connection in hand. Called in SQLAlchemy's greenlet.

        Args:
            info: The pooled connection's `info`, one and the same object as long as the pool
                keeps the connection; entering twice is one turn.

        Raises:
            OperationalError: As `lend` does.
        """
        if self._holder is not info:
            self._wait()
            self._holder = info

    def leave(self, info: dict[Any, Any]) -> None:
        """Let the next writer pass, if this connection held the turn."""
        if self._holder is info:
            self._holder = None
            self._pass_on()

    def _wait(self) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        try:
            await_only(self._line.wait(self._timeout, self._give_back))
        except TimeoutError:
            error = sqlite3.OperationalError(
                f"database is locked: another transaction of this process held the write lock for "
                f"more than {self._timeout:g} s"
            )
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            error.sqlite_errorname = "SQLITE_BUSY"
            raise OperationalError("BEGIN IMMEDIATE", None, error) from None

    def _pass_on(self) -> None:
        self._is_taken = self._line.serve(None)

    def _give_back(self, turn: None) -> None:
        del turn
        self._pass_on()
