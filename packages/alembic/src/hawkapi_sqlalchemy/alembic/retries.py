"""A migration that cannot get a lock gives way, and is run again."""

import logging
from collections.abc import Callable
from typing import Any

import tenacity
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError

from hawkapi_sqlalchemy.alembic.errors import TableLockedError
from hawkapi_sqlalchemy.alembic.loops import pause
from hawkapi_sqlalchemy.alembic.statements import (
    is_ddl,
    naming,
    only_reads,
    runs_concurrently,
)

__all__ = ["Progress", "retry_locked"]

logger = logging.getLogger("hawkapi_sqlalchemy.alembic")

_POSTGRESQL = {"55P03", "40P01"}
"""lock_not_available, deadlock_detected:
https://www.postgresql.org/docs/current/errcodes-appendix.html."""
_MYSQL = {1205, 1213}
"""ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK: https://mariadb.com/kb/en/mariadb-error-code-reference/."""
_SQLITE_BUSY = 5
"""Of an error's extended code, the lowest byte: https://www.sqlite.org/rescode.html."""

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 30.0


class Progress:
    """What of a run is stored for good, watched on its connection.

    Args:
        connection: The connection.
        version_table: Alembic's own table, whose statements are no migration's.

    Attributes:
        has_applied: Whether a whole migration is committed.
        is_partial: Whether a part of a migration is committed, and its rest is not.
    """

    def __init__(self, connection: Connection, version_table: str) -> None:
        self.has_applied = False
        self.is_partial = False
        self._is_dirty = False
        self._is_complete = False
        self._version_table = naming(version_table)
        # MariaDB and MySQL commit before and after each of these, whoever asked for it.
        self._ddl_commits = connection.dialect.name in {"mysql", "mariadb"}
        event.listen(connection, "before_cursor_execute", self._before)
        event.listen(connection, "after_cursor_execute", self._after)
        event.listen(connection, "commit", self._committed)

    def complete(self, **_: Any) -> None:
        """Hear from Alembic that a migration has been done; it is stored with the next COMMIT."""
        self._is_complete = True
        self._is_dirty = False

    def forget(self) -> None:
        """What was not committed is rolled back."""
        self._is_dirty = self._is_complete = False

    def _before(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if self._ddl_commits and self._is_dirty and is_ddl(statement):
            self._committed(connection)
        if runs_concurrently(statement):
            # It commits while it runs, and may fail after that.
            self.is_partial = True

    def _after(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if only_reads(statement) or self._version_table.search(statement):
            return
        self._is_dirty = True
        # A block in AUTOCOMMIT needs no look: Alembic ends it with a commit, also when it fails.
        if self._ddl_commits and is_ddl(statement):
            self._committed(connection)

    def _committed(self, _: Connection) -> None:
        if self._is_complete:
            self.has_applied = True
            self.is_partial = False
        if self._is_dirty:
            # The commit of a migration may store the beginning of the next one too.
            self.is_partial = True
        self.forget()


def retry_locked(
    run: Callable[[], None], progress: Progress, *, attempts: int, is_relative: bool
) -> None:
    """Run the migrations, and again when they met a lock.

    Only where nothing of the migration that met it is committed. A relative
    destination (`+1`) is not tried again after the first whole migration: it
    would be counted from there.

    Args:
        run: Runs the migrations; leaves no transaction behind.
        progress: What is committed.
        attempts: How often it may run.
        is_relative: Whether the destination counts from where the database is.

    Raises:
        TableLockedError: The lock was not free in any attempt, or the run cannot
            be repeated.
        Exception: Whatever else `run` raises.
    """

    def may_repeat(error: BaseException) -> bool:
        progress.forget()
        cannot = progress.is_partial or (is_relative and progress.has_applied)
        return _is_locked(error) and not cannot

    def tell(state: tenacity.RetryCallState) -> None:
        logger.info(
            "a lock was not free: given way, attempt %d of %d follows in %.1f s",
            state.attempt_number + 1,
            attempts,
            state.upcoming_sleep,
        )

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        sleep=pause,
        wait=tenacity.wait_random_exponential(_FIRST_PAUSE, max=_LONGEST_PAUSE),
        retry=tenacity.retry_if_exception(may_repeat),
        before_sleep=tell,
        reraise=True,
    )
    try:
        retrying(run)
    except DBAPIError as error:
        if not _is_locked(error):
            raise
        made = int(retrying.statistics["attempt_number"])
        raise TableLockedError(made, is_partial=progress.is_partial) from error


def _is_locked(error: BaseException) -> bool:
    original: Any = getattr(error, "orig", None)
    # Drivers differ: asyncpg and psycopg, psycopg2, PyMySQL and aiomysql, SQLite's.
    first: Any = next(iter(getattr(original, "args", ())), None)
    return (
        getattr(original, "sqlstate", None) in _POSTGRESQL
        or getattr(original, "pgcode", None) in _POSTGRESQL
        or getattr(original, "sqlite_errorcode", 0) & 0xFF == _SQLITE_BUSY
        or first in _MYSQL
    )
