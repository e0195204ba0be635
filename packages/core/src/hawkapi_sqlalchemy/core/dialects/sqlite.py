"""SQLite through aiosqlite: files, and databases in memory."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection, ExecutionContext
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection, PoolResetState
from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.core.access import OPTION, Access, access_of
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.dialects.base import DialectPolicy, cursor_execute
from hawkapi_sqlalchemy.core.dialects.turnstile import WriteTurnstile

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.core.dialects import aiosqlite_connection

__all__ = ["SQLitePolicy"]

_LOCK_TIMEOUT = 30.0
_QUERY_ONLY = "hawkapi_query_only"
_DEADLINE = "hawkapi_deadline"
_LOST = "hawkapi_lost"
_PROGRESS_STEPS = 10_000
"""Virtual machine steps between two looks at the deadline: some tenths of a millisecond."""


class SQLitePolicy(DialectPolicy):
    """Write-ahead log, foreign keys, writers that queue, readers that cannot write.

    An in-memory database becomes one of SQLite's `memdb` file system: every connection to its name
    sees the same database with real locking, and it lives as long as one connection does
    (https://www.sqlite.org/src/file/src/memdb.c). One connection of our own keeps it.
    """

    driver = "aiosqlite"
    loop_bound = False
    can_be_lost = False

    def __init__(self, config: DatabaseConfig) -> None:
        super().__init__(config)
        self._url = config.sqlalchemy_url
        self._keeper: sqlite3.Connection | None = None
        self.in_memory = _is_in_memory(self._url)
        if self.in_memory:
            # Not one cache for all: its table locks refuse at once, where memdb's wait.
            dropped = ("mode", "cache")
            query = {key: value for key, value in self._url.query.items() if key not in dropped}
            self._url = self._url.set(
                database=f"file:/hawkapi-{uuid.uuid4().hex}",
                query={**query, "vfs": "memdb", "uri": "true"},
            )
        self._lock_timeout = config.lock_timeout or _LOCK_TIMEOUT
        self._turnstile = WriteTurnstile(self._lock_timeout)

    def engine_url(self) -> URL:
        """The file's URL, or that of the shared memory database."""
        return self._url

    def connect_args(self) -> dict[str, Any]:
        """The driver leaves transactions to us: its own begin too late, and skip some.

        See https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#pysqlite-serializable.
        """
        # Not loaded before there is an SQLite database, like every driver.
        from hawkapi_sqlalchemy.core.dialects.aiosqlite_connection import connect

        return {
            "isolation_level": None,
            "timeout": self._lock_timeout,
            "async_creator_fn": connect,
        }

    def open(self) -> None:
        """Keep a memory database alive between its connections."""
        if self.in_memory and self._keeper is None:
            self._keeper = sqlite3.connect(
                f"{self._url.database}?vfs=memdb", uri=True, check_same_thread=False
            )

    def close(self) -> None:
        """Let a memory database go."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    def connect_errors(self) -> tuple[type[Exception], ...]:
        """sqlite3's own."""
        return (sqlite3.Error,)

    def abandon(self, driver_connection: Any) -> None:
        """End the connection's thread, which needs no event loop."""
        driver_connection.stop()

    def loop_changed(self) -> None:
        """Writers of a loop that is gone wait no more."""
        self._turnstile = WriteTurnstile(self._lock_timeout)

    def access_options(self, access: Access) -> Mapping[str, Any]:
        """Who will write takes the write lock when it begins."""
        return {OPTION: access}

    def make_read_only(self, connection: DBAPIConnection) -> None:
        """Have SQLite refuse the connection's writes."""
        cursor_execute(connection, "PRAGMA query_only=ON")

    def is_clean(self, driver_connection: Any) -> bool:
        """No stream is held that was not read to its end: the next session would see old data."""
        # A connection that the application's own `async_creator` made does not know.
        return not getattr(driver_connection, "has_open_streams", False)

    def is_clean_reader(self, driver_connection: Any) -> bool:
        """Nor is it in the middle of a transaction that a statement's text began."""
        return self.is_clean(driver_connection) and not driver_connection.in_transaction

    def listen(self, engine: Engine) -> None:
        """Set pragmas, watch the statement's time."""

        @event.listens_for(engine, "connect")
        def configure(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
            # An engine that was disposed may be used again, by an application started anew.
            self.open()
            self.configure(connection)
            if self.config.statement_timeout is not None:
                self._watch(record, self.config.statement_timeout)

        @event.listens_for(engine, "reset")
        def reset(
            connection: DBAPIConnection, record: ConnectionPoolEntry | None, state: PoolResetState
        ) -> None:
            if record is None:
                # It was detached from the pool, and is closed next.
                return
            # A COMMIT that a deferred constraint refuses leaves SQLite in the transaction, while
            # SQLAlchemy takes it for ended (https://www.sqlite.org/lang_transaction.html).
            driver: Any = record.driver_connection
            if state.transaction_was_reset and state.asyncio_safe and driver.in_transaction:
                connection.rollback()

        @event.listens_for(engine, "checkin")
        def checkin(connection: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
            del connection
            self._turnstile.leave(record.info)

        @event.listens_for(engine, "invalidate")
        @event.listens_for(engine, "close")
        def gone(connection: DBAPIConnection, record: ConnectionPoolEntry, *_: object) -> None:
            del connection
            self._turnstile.leave(record.info)

        # Events of the dialect: those of the connection would cost every statement.
        @event.listens_for(engine, "do_execute")
        @event.listens_for(engine, "do_execute_no_params")
        def stream(cursor: Any, *arguments: Any) -> None:
            # The driver's connection cannot tell for whom SQLAlchemy executes.
            if cursor.server_side:
                context: ExecutionContext = arguments[-1]
                if (ours := _ours(context.root_connection)) is not None:
                    ours.stream_next()

        if self.config.statement_timeout is not None:
            _set_deadlines(engine, self.config.statement_timeout)
        del configure, reset, checkin, gone, stream

    def configure(self, connection: DBAPIConnection) -> None:
        """Set the pragmas of a new connection.

        Args:
            connection: The adapted driver connection, outside of transactions.
        """
        pragmas: dict[str, str | int] = {"foreign_keys": "ON"}
        if not self.in_memory and not self.config.read_only:
            pragmas["journal_mode"] = "WAL"
        pragmas |= self.config.sqlite_pragmas
        journal_mode = pragmas.pop("journal_mode", None)
        if journal_mode is not None:
            _set_journal_mode(connection, str(journal_mode), self._lock_timeout)
        cursor_execute(connection, *(f"PRAGMA {name}={value}" for name, value in pragmas.items()))

    def _watch(self, record: ConnectionPoolEntry, seconds: float) -> None:
        info: dict[Any, Any] = record.info
        info[_DEADLINE] = None

        def is_late() -> bool:
            deadline = info.get(_DEADLINE)
            return deadline is not None and time.monotonic() > deadline

        def restart() -> None:
            # The statement that goes with a BEGIN has not been running while that waited.
            if info.get(_DEADLINE) is not None:
                info[_DEADLINE] = time.monotonic() + seconds

        driver: Any = record.driver_connection
        driver.on_begin = restart
        await_only(driver.set_progress_handler(is_late, _PROGRESS_STEPS))

    def lend(
        self, engine: Engine, connect: Callable[[], PoolProxiedConnection]
    ) -> PoolProxiedConnection:
        """Have writers wait for their turn before they take a connection."""
        if engine.get_execution_options().get(OPTION) is Access.WRITE:
            return self._turnstile.lend(connect)
        return connect()

    def begin(self, connection: Connection) -> None:
        """Begin explicitly, as the driver's own begin would come too late; queue the writers."""
        access = access_of(connection)
        info = connection.info
        info.pop(_LOST, None)
        query_only = access.is_read_only
        if info.get(_QUERY_ONLY, False) is not query_only:
            connection.exec_driver_sql(f"PRAGMA query_only={'ON' if query_only else 'OFF'}")
            info[_QUERY_ONLY] = query_only
        if access is not Access.WRITE:
            _begin_later(connection, "BEGIN")
            return
        # Begun without the write lock, a transaction that reads first and writes later fails at
        # once when another has written in between: no busy timeout covers that
        # (https://www.sqlite.org/rescode.html#busy_snapshot).
        self._turnstile.enter(info)
        _begin_later(connection, "BEGIN IMMEDIATE")

    def after_error(self, connection: Connection) -> None:
        """Some errors roll the transaction back: https://www.sqlite.org/lang_transaction.html.

        Each statement after such a one would be stored by itself. It gets a transaction, which
        COMMIT then refuses.
        """
        driver: Any = connection.connection.driver_connection
        adapted = connection.connection.dbapi_connection
        if adapted is not None and connection.in_transaction() and not driver.in_transaction:
            connection.info[_LOST] = True
            if (ours := _ours(connection)) is not None:
                ours.begin_later("BEGIN")
            else:
                cursor_execute(adapted, "BEGIN")

    def transaction_is_lost(self, connection: Connection, error: BaseException) -> bool:
        """Tell what `after_error` has seen."""
        del error
        return connection.info.get(_LOST, False)


def _ours(connection: Connection) -> aiosqlite_connection.Connection | None:
    """Answer the driver's connection, unless the application's own `async_creator` made it."""
    driver = connection.connection.driver_connection
    # By name: the class is not loaded before there is an SQLite database.
    return (
        cast("aiosqlite_connection.Connection", driver) if hasattr(driver, "begin_later") else None
    )


def _begin_later(connection: Connection, statement: str) -> None:
    if (ours := _ours(connection)) is not None:
        ours.begin_later(statement)
    else:
        connection.exec_driver_sql(statement)


def _is_in_memory(url: URL) -> bool:
    database = url.database or ":memory:"
    return (
        database in ("", ":memory:")
        or database.startswith("file::memory:")
        or url.query.get("mode") == "memory"
    )


def _set_journal_mode(connection: DBAPIConnection, mode: str, timeout: float) -> None:
    # Changing the mode needs the file to itself and does not wait for it: connections that open
    # together would refuse one another (https://www.sqlite.org/wal.html#sometimes_queries_return_sqlite_busy_in_wal_mode).
    deadline = time.monotonic() + timeout
    while True:
        try:
            cursor_execute(connection, f"PRAGMA journal_mode={mode}")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            await_only(asyncio.sleep(0.01))
        else:
            return


def _set_deadlines(engine: Engine, seconds: float) -> None:
    @event.listens_for(engine, "before_cursor_execute")
    def start(connection: Connection, *_: object) -> None:
        connection.info[_DEADLINE] = time.monotonic() + seconds

    @event.listens_for(engine, "after_cursor_execute")
    def stop(connection: Connection, *_: object) -> None:
        connection.info[_DEADLINE] = None

    @event.listens_for(engine, "handle_error")
    def stop_after_error(context: ExceptionContext) -> None:
        connection = context.connection
        if connection is not None and not connection.closed and not connection.invalidated:
            connection.info[_DEADLINE] = None

    del start, stop, stop_after_error
