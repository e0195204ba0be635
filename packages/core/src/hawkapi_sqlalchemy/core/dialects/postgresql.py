"""PostgreSQL through asyncpg."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.dialects.asyncpg_transactions import begin
from hawkapi_sqlalchemy.core.dialects.base import DialectPolicy, cursor_execute
from hawkapi_sqlalchemy.core.dialects.sockets import is_quiet
from hawkapi_sqlalchemy.core.dialects.transports import abandon

__all__ = ["PostgreSQLPolicy"]

_READ_ONLY_SETTING = "default_transaction_read_only"


class PostgreSQLPolicy(DialectPolicy):
    """Time limits as server settings, read-only transactions, PgBouncer."""

    driver = "asyncpg"
    extra = "postgres"

    def __init__(self, config: DatabaseConfig) -> None:
        super().__init__(config)
        calls = ", ".join(
            f"set_config('{name}', '{value}', true)" for name, value in self._time_limits().items()
        )
        self._local_limits = f"SELECT {calls}" if calls and config.pgbouncer else None

    def _time_limits(self) -> dict[str, str]:
        config = self.config
        limits = {
            "statement_timeout": config.statement_timeout,
            "lock_timeout": config.lock_timeout,
            "idle_in_transaction_session_timeout": config.idle_in_transaction_timeout,
        }
        # PostgreSQL reads a bare number as milliseconds; 0 would switch the limit off.
        return {
            name: str(max(1, round(seconds * 1000)))
            for name, seconds in limits.items()
            if seconds is not None
        }

    def connect_args(self) -> dict[str, Any]:
        """asyncpg's arguments: the time limits go along with the connection's start."""
        arguments: dict[str, Any] = {"timeout": self.config.connect_timeout}
        if self.config.pgbouncer:
            # A named statement stays on whichever server connection parsed it, while the pooler
            # hands the next transaction another one. An empty name is the protocol's unnamed
            # statement: parsed anew each time, left behind nowhere.
            arguments |= {
                "statement_cache_size": 0,
                "prepared_statement_cache_size": 0,
                "prepared_statement_name_func": str,
            }
            return arguments
        settings = self._time_limits()
        if self.config.read_only:
            # Holds outside transactions too, where BEGIN READ ONLY says nothing.
            settings[_READ_ONLY_SETTING] = "on"
        if settings:
            arguments["server_settings"] = settings
        return arguments

    def connect_errors(self) -> tuple[type[Exception], ...]:
        """asyncpg's own exceptions: SQLAlchemy 2.0 does not translate those of `connect()`."""
        import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # it ships none

        return (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

    def abandon(self, driver_connection: Any) -> None:
        """Close the socket without a word to the server."""
        abandon(driver_connection.terminate, getattr(driver_connection, "_transport", None))

    def view_options(self) -> Mapping[str, Any]:
        """`BEGIN READ ONLY`, at no round trip of its own."""
        return {"postgresql_readonly": True}

    def snapshot_options(self) -> Mapping[str, Any]:
        """`BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`, likewise.

        See https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ.
        """
        return {"postgresql_readonly": True, "isolation_level": "REPEATABLE READ"}

    def can_autocommit(self) -> bool:
        """Not behind a pooler: the setting would stay on one of its server connections."""
        return not self.config.pgbouncer and super().can_autocommit()

    def make_read_only(self, connection: DBAPIConnection) -> None:
        """Make every transaction of the connection a read-only one, that of each statement too."""
        cursor_execute(connection, f"SET {_READ_ONLY_SETTING} = on")

    def is_clean(self, driver_connection: Any) -> bool:
        """Not in the middle of a transaction, and not in doubt about it.

        Two tasks on one session can leave the adapter believing that nothing is open, while the
        server is in a transaction: nobody after them may inherit it. And when BEGIN was cancelled,
        the server's answer to it is still to come: asyncpg then takes the next transaction for one
        inside the first, begins and ends it as a savepoint, and nobody ever commits it. A statement
        that was cancelled is cancelled on the server by a request of its own, which may be late.
        """
        return not (
            driver_connection.is_in_transaction()
            # Private names: the transaction that asyncpg believes in, and cancellations under way.
            or getattr(driver_connection, "_top_xact", None) is not None
            or getattr(driver_connection, "_cancellations", None)
        )

    def is_clean_reader(self, driver_connection: Any) -> bool:
        """The server tells of each change of this setting, since PostgreSQL 14.

        See https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-ASYNC.
        """
        settings = driver_connection.get_settings()
        read_only = getattr(settings, _READ_ONLY_SETTING, "on") == "on"
        return read_only and self.is_clean(driver_connection)

    def seems_alive(self, driver_connection: Any) -> bool:
        """Look at what asyncpg and the socket know."""
        # A driver without the transport, whose name is private, is asked each time.
        transport = getattr(driver_connection, "_transport", None)
        return not driver_connection.is_closed() and is_quiet(transport)

    def ping(self, driver_connection: Any) -> Awaitable[object]:
        """Send a query by the simple protocol: one round trip, nothing prepared, no transaction."""
        return driver_connection.execute("SELECT 1", timeout=self.config.connect_timeout)

    def begin(self, connection: Connection) -> None:
        """Send BEGIN now; set the limits inside it where a pooler forbids settings.

        PgBouncer refuses start-up parameters that it does not know, and a session's setting would
        follow the server connection to another client: `is_local` ends with the transaction
        (https://www.pgbouncer.org/config.html#ignore_startup_parameters).
        """
        begin(connection)
        if self._local_limits is not None:
            connection.exec_driver_sql(self._local_limits)

    def transaction_is_lost(self, connection: Connection, error: BaseException) -> bool:
        """An aborted transaction refuses every statement but answers COMMIT with ROLLBACK.

        See https://www.postgresql.org/docs/current/sql-commit.html. A savepoint may have healed
        it since, so the server is asked.
        """
        del error
        try:
            connection.exec_driver_sql("SELECT 1")
        except DBAPIError as refused:
            if getattr(refused.orig, "sqlstate", None) == "25P02":
                return True
            raise
        return False

    async def max_connections(self, connection: AsyncConnection) -> int | None:
        """Connections left to ordinary roles; not asked through a pooler, which has its own."""
        if self.config.pgbouncer:
            return None
        row = (
            await connection.execute(
                text(
                    "SELECT current_setting('max_connections')::int"
                    " - current_setting('superuser_reserved_connections')::int"
                    # PostgreSQL 16 and later
                    " - coalesce(current_setting('reserved_connections', true)::int, 0)"
                )
            )
        ).scalar_one()
        return int(row)
