"""MariaDB and MySQL through aiomysql."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import ConnectionPoolEntry

from hawkapi_sqlalchemy.core.access import Access, access_of
from hawkapi_sqlalchemy.core.dialects.base import DialectPolicy, cursor_execute
from hawkapi_sqlalchemy.core.dialects.sockets import is_quiet
from hawkapi_sqlalchemy.core.dialects.transports import abandon
from hawkapi_sqlalchemy.core.faults import error_code

__all__ = ["MySQLPolicy", "session_settings"]

_DEADLOCK = 1213
_LOCK_WAIT_TIMEOUT = 1205
_READ_ONLY = "hawkapi_read_only"
_GRAVITY: Mapping[str | int | None, int] = {_DEADLOCK: 2, _LOCK_WAIT_TIMEOUT: 1}


def session_settings(
    *,
    mariadb: bool,
    statement_timeout: float | None,
    lock_timeout: float | None,
    idle_in_transaction_timeout: float | None,
) -> dict[str, str]:
    """Name the session variables that carry the time limits.

    Args:
        mariadb: MariaDB's variables; MySQL's otherwise (`max_execution_time` in milliseconds, for
            `SELECT` alone, https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html).
        statement_timeout: Seconds, or `None` to leave the server's own.
        lock_timeout: Seconds, rounded up to whole ones, or `None`.
        idle_in_transaction_timeout: Seconds, rounded up, or `None`; MySQL has no such limit.

    Returns:
        Variable name to SQL literal.
    """
    settings: dict[str, str] = {}
    if statement_timeout is not None:
        if mariadb:
            settings["max_statement_time"] = f"{max(statement_timeout, 0.000001):f}"
        else:
            settings["max_execution_time"] = str(max(1, round(statement_timeout * 1000)))
    if lock_timeout is not None:
        settings["innodb_lock_wait_timeout"] = str(math.ceil(lock_timeout))
    if idle_in_transaction_timeout is not None and mariadb:
        settings["idle_transaction_timeout"] = str(math.ceil(idle_in_transaction_timeout))
    return settings


async def _connect(**arguments: Any) -> Any:
    """Connect within the time limit as a whole.

    aiomysql's own covers the TCP handshake alone: a server that hangs after it would be waited for
    without end. And a connection given up on the way is left open.
    """
    import aiomysql  # pyright: ignore[reportMissingTypeStubs]  # it ships none

    connection: Any = aiomysql.Connection(**arguments)
    try:
        async with asyncio.timeout(arguments.get("connect_timeout")):
            await connection._connect()  # noqa: SLF001  # what `aiomysql.connect` itself calls
    except BaseException:
        _abandon(connection)
        raise
    return connection


def _abandon(connection: Any) -> None:
    writer = getattr(connection, "_writer", None)
    abandon(connection.close, getattr(writer, "transport", None))


class MySQLPolicy(DialectPolicy):
    """Time limits as session variables, read-only transactions, deadlocks that end everything."""

    driver = "aiomysql"
    extra = "mysql"

    def connect_args(self) -> dict[str, Any]:
        """aiomysql's arguments."""
        return {"connect_timeout": self.config.connect_timeout, "async_creator_fn": _connect}

    def connect_errors(self) -> tuple[type[Exception], ...]:
        """aiomysql's exceptions are PyMySQL's."""
        import aiomysql  # pyright: ignore[reportMissingTypeStubs]  # it ships none

        return (aiomysql.Error,)

    def abandon(self, driver_connection: Any) -> None:
        """Close the socket without a word to the server."""
        _abandon(driver_connection)

    def make_read_only(self, connection: DBAPIConnection) -> None:
        """Make every transaction of the connection a read-only one, that of each statement too."""
        cursor_execute(connection, "SET SESSION TRANSACTION READ ONLY")

    def is_clean(self, driver_connection: Any) -> bool:
        """Not in the middle of a transaction: the next session's COMMIT would store it.

        A reader's may have been begun by a statement's text. And after a COMMIT that was refused on
        this side, for the deadlock that an application swallowed, SQLAlchemy takes the transaction
        for ended and sends no ROLLBACK for the one that MariaDB had begun since.

        Nor in the middle of an answer, which a reader's stream leaves that was not read to its end:
        nothing is sent at the end of its session that would read the rest.
        """
        answer = getattr(driver_connection, "_result", None)
        return not (
            driver_connection.get_transaction_status()
            or getattr(answer, "unbuffered_active", False)
        )

    def seems_alive(self, driver_connection: Any) -> bool:
        """Look at what the stream and the socket know.

        The names are private to aiomysql and asyncio; a driver without them is asked each time.
        """
        reader: Any = getattr(driver_connection, "_reader", None)
        writer: Any = getattr(driver_connection, "_writer", None)
        unread = getattr(reader, "_buffer", True)
        ended = getattr(reader, "_eof", True)
        return not unread and not ended and is_quiet(getattr(writer, "transport", None))

    async def ping(self, driver_connection: Any) -> None:
        """Send the protocol's own ping."""
        writer: Any = getattr(driver_connection, "_writer", None)
        transport: Any = getattr(writer, "transport", None)
        if transport is not None and transport.is_closing():
            # uvloop raises a RuntimeError for a write to it.
            raise ConnectionResetError("the connection is closed")
        async with asyncio.timeout(self.config.connect_timeout):
            await driver_connection.ping(reconnect=False)

    def listen(self, engine: Engine) -> None:
        """Set the time limits on each connection."""

        @event.listens_for(engine, "connect")
        def set_limits(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:
            del record
            self.configure(connection)

        del set_limits

    def configure(self, connection: DBAPIConnection) -> None:
        """Set the time limits of a new connection.

        Args:
            connection: The adapted driver connection.
        """
        adapted: Any = connection
        settings = session_settings(
            mariadb="mariadb" in str(adapted.driver_connection.get_server_info()).lower(),
            statement_timeout=self.config.statement_timeout,
            lock_timeout=self.config.lock_timeout,
            idle_in_transaction_timeout=self.config.idle_in_transaction_timeout,
        )
        if settings:
            assignments = ", ".join(f"{name}={value}" for name, value in settings.items())
            cursor_execute(connection, f"SET SESSION {assignments}")

    def begin(self, connection: Connection) -> None:
        """Begin read-only, and with a snapshot, where asked."""
        # Transactions start by themselves at the first statement (autocommit=0). A read-only one
        # alone would not do: DDL first commits it, and then runs under the session's mode.
        access = access_of(connection)
        if connection.info.get(_READ_ONLY, False) is not access.is_read_only:
            mode = "READ ONLY" if access.is_read_only else "READ WRITE"
            connection.exec_driver_sql(f"SET SESSION TRANSACTION {mode}")
            connection.info[_READ_ONLY] = access.is_read_only
        if access is Access.SNAPSHOT:
            # For this transaction alone. InnoDB takes the snapshot at this level only
            # (https://mariadb.com/kb/en/start-transaction/).
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")

    def gravity(self, error: BaseException) -> int:
        """After a deadlock even ROLLBACK TO SAVEPOINT fails, with an error of its own."""
        return _GRAVITY.get(error_code(error), 0)

    def transaction_is_lost(self, connection: Connection, error: BaseException) -> bool:
        """A deadlock rolls the whole transaction back, savepoints included.

        See https://mariadb.com/kb/en/innodb-lock-modes/#deadlocks. The connection then goes on in
        a new transaction as if nothing had been. After a lock time-out the server rolls back one
        statement, or everything with `innodb_rollback_on_timeout`; what it did cannot be seen, so
        the setting is asked.
        """
        code = error_code(error)
        if code == _DEADLOCK:
            return True
        if code == _LOCK_WAIT_TIMEOUT:
            return bool(connection.exec_driver_sql("SELECT @@innodb_rollback_on_timeout").scalar())
        return False

    async def max_connections(self, connection: AsyncConnection) -> int | None:
        """The server's `max_connections`."""
        return int((await connection.execute(text("SELECT @@max_connections"))).scalar_one())
