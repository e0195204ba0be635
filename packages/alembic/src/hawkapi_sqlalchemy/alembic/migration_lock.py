"""One migration run at a time on a database, whoever starts it and wherever."""

import hashlib
import logging
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import SingletonThreadPool, StaticPool

from hawkapi_sqlalchemy.alembic.directly import execute_directly
from hawkapi_sqlalchemy.alembic.errors import MigrationLockLostError, MigrationLockTimeoutError
from hawkapi_sqlalchemy.alembic.loops import pause
from hawkapi_sqlalchemy.alembic.opening import unreachable

logger = logging.getLogger("hawkapi_sqlalchemy.alembic")

_NAME = "hawkapi_sqlalchemy.alembic"
_POLL = 0.2
"""Seconds between two attempts."""
_REPORT = 10.0
"""Seconds between two lines in the log that tell of waiting."""
_LONGEST_NAME = 64
"""Characters of a lock's name in MySQL, see
https://dev.mysql.com/doc/refman/8.4/en/locking-functions.html#function_get-lock."""

POSTGRESQL_KEY = int.from_bytes(hashlib.sha256(_NAME.encode()).digest()[:8], signed=True)
"""The key of PostgreSQL's advisory lock; each database has its own."""


class MigrationLock(Protocol):
    """The right to migrate a database, held by at most one run."""

    def acquire(self) -> bool:
        """Try to get it, without waiting."""
        ...

    def holder(self) -> str | None:
        """Say who has it, as far as that is known."""
        ...

    def check(self, **_: Any) -> None:
        """Make sure that it is still held; Alembic calls it after each migration.

        Raises:
            MigrationLockLostError: It is not.
        """
        ...

    def release(self) -> None:
        """Give it up. A run that is killed gives it up too."""
        ...


@contextmanager
def hold_migration_lock(
    connection: Connection, *, timeout: float
) -> Generator[MigrationLock | None]:
    """Hold the lock of a database, waiting for whoever has it.

    PostgreSQL and MariaDB or MySQL keep it for a connection of its own, in
    AUTOCOMMIT: on the connection of the migration, asking for it would begin a
    transaction, which Alembic takes for its caller's and does not commit; and a
    runner that waits inside a transaction, or inside the statement that gets
    the lock, holds a snapshot that `CREATE INDEX CONCURRENTLY` waits for.
    SQLite's is a file beside the database.

    Args:
        connection: The connection of the migration, on which nothing is executed.
        timeout: Seconds to wait.

    Yields:
        The lock; `None` for a database that lives in memory, for a server of
        another kind, of which no lock is known, and where the engine has but one
        connection.

    Raises:
        MigrationLockTimeoutError: Another run had it all the time.
    """
    lock = _lock_of(connection)
    if lock is None:
        yield None
        return
    try:
        _wait(lock, timeout)
        yield lock
    finally:
        lock.release()


def _lock_of(connection: Connection) -> MigrationLock | None:
    if isinstance(connection.engine.pool, StaticPool | SingletonThreadPool):
        # All that such an engine has is one connection, the migration's.
        return None
    match connection.dialect.name:
        case "postgresql":
            return _PostgreSQLLock(connection)
        case "mysql" | "mariadb":
            return _MySQLLock(connection)
        case "sqlite":
            file = _database_file(connection)
            return None if file is None else _FileLock(file)
        case _:
            return None


def _wait(lock: MigrationLock, timeout: float) -> None:
    began = time.monotonic()
    report_at = began
    while not lock.acquire():
        now = time.monotonic()
        if now - began >= timeout:
            raise MigrationLockTimeoutError(timeout, lock.holder())
        if now >= report_at:
            holder = lock.holder()
            logger.info(
                "another migration run is under way%s; waiting for its end",
                f" ({holder})" if holder else "",
            )
            report_at = now + _REPORT
        pause(min(_POLL, max(0.0, timeout - (now - began))))


class _ServerLock:
    """A lock that a server keeps for as long as a connection lives."""

    def __init__(self, connection: Connection) -> None:
        try:
            self._connection = connection.engine.connect()
        except Exception as error:
            # Too many connections, for instance.
            raise unreachable(connection.engine.url, error) from error
        try:
            # Before it is detached: afterwards SQLAlchemy has nowhere to note what to undo.
            self._connection.execution_options(isolation_level="AUTOCOMMIT")
            # Out of the pool, in which an engine that was given may have few places.
            self._connection.detach()
            self.keep_alive()
        except BaseException:
            self.release()
            raise

    def keep_alive(self) -> None:
        """Keep the server from ending a connection that says nothing during a long migration."""

    def check(self, **_: Any) -> None:
        """Ask the server for anything: it keeps the lock as long as it keeps the connection."""
        try:
            self._scalar("SELECT 1")
        except SQLAlchemyError as error:
            raise MigrationLockLostError from error

    def release(self) -> None:
        """End the connection, and the lock with it."""
        # Detached, it goes back to no pool: closing ends it.
        self._connection.close()

    def _scalar(self, statement: str, **parameters: object) -> object:
        return self._connection.execute(text(statement), parameters).scalar()


class _PostgreSQLLock(_ServerLock):
    def keep_alive(self) -> None:
        # Since PostgreSQL 14; an older server knows no such limit.
        if self._scalar("SELECT current_setting('idle_session_timeout', true)") is not None:
            self._connection.execute(text("SET idle_session_timeout = 0"))

    def acquire(self) -> bool:
        return bool(self._scalar("SELECT pg_try_advisory_lock(:key)", key=POSTGRESQL_KEY))

    def holder(self) -> str | None:
        row = self._connection.execute(
            text(
                "SELECT activity.pid, activity.application_name, host(activity.client_addr)"
                " FROM pg_locks JOIN pg_stat_activity activity USING (pid)"
                " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
                " AND (classid::bigint << 32 | objid::bigint) = :key"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            ),
            {"key": POSTGRESQL_KEY},
        ).first()
        if row is None:
            return None
        known = [f"server process {row[0]}", row[1] or "", f"from {row[2]}" if row[2] else ""]
        return ", ".join(each for each in known if each)


class _MySQLLock(_ServerLock):
    def keep_alive(self) -> None:
        # The longest that both MariaDB and MySQL accept on every platform, 24 days.
        self._connection.execute(text("SET SESSION wait_timeout = 2147483"))

    def acquire(self) -> bool:
        return self._scalar("SELECT GET_LOCK(:name, 0)", name=self._name) == 1

    def holder(self) -> str | None:
        process = self._scalar("SELECT IS_USED_LOCK(:name)", name=self._name)
        return None if process is None else f"server connection {process}"

    @property
    def _name(self) -> str:
        # Names are the whole server's, so the database is in it.
        name = f"{_NAME}:{self._connection.engine.url.database}"
        if len(name) <= _LONGEST_NAME:
            return name
        return hashlib.sha256(name.encode()).hexdigest()


class _FileLock:
    def __init__(self, database: Path) -> None:
        # SQLite alone needs it, and its import takes as long as the rest of this package's.
        from filelock import FileLock

        self._file = database.with_name(f"{database.name}.migration-lock")
        self._lock = FileLock(self._file)

    def acquire(self) -> bool:
        try:
            self._lock.acquire(blocking=False)
        except TimeoutError:
            return False
        return True

    def holder(self) -> str | None:
        return f"which holds {self._file.name}"

    def check(self, **_: Any) -> None:
        if not self._lock.is_locked:
            raise MigrationLockLostError

    def release(self) -> None:
        self._lock.release()


def _database_file(connection: Connection) -> Path | None:
    # SQLite itself knows best, whatever the URL looked like.
    rows = execute_directly(connection, "PRAGMA database_list")
    files = {row[1]: row[2] for row in rows}
    return Path(files["main"]) if files.get("main") else None
