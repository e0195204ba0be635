"""How the one real connection is spoken to, by kind of server."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from sqlalchemy.engine import Dialect
from sqlalchemy.util import greenlet_spawn

__all__ = ["Backend", "MySQLBackend", "PostgreSQLBackend", "SQLiteBackend", "backend_for"]

__tracebackhide__ = True
"""An error of a statement is shown where it was sent from."""

_CLOSE_TIMEOUT = 5.0
_INTERRUPT_AGAIN = 0.05
"""Seconds after which a statement that goes on is interrupted again."""


class Backend:
    """A real connection, as SQLAlchemy's adapter wraps it. It lives in one event loop.

    Args:
        dialect: SQLAlchemy's.
        connect: Opens an adapted connection, in SQLAlchemy's greenlet.
        connection: The one that was opened, with no transaction on it.

    Attributes:
        adapted: The adapted connection.
        driver: The driver's own.
    """

    aborts_on_error: ClassVar[bool] = False
    """Whether a statement that fails leaves a transaction that refuses all others."""
    keeps_settings: ClassVar[bool] = True
    """Whether what SET changes stays when its transaction is rolled back."""
    commits_by_itself: ClassVar[bool] = False
    """Whether some statements commit. Elsewhere a transaction that is gone was rolled back."""
    can_refuse_writes: ClassVar[bool] = True
    """Whether the server can be told to refuse the writes of one part of a transaction."""

    def __init__(self, dialect: Dialect, connect: Callable[[], Any], connection: Any) -> None:
        self.dialect = dialect
        self.connect = connect
        self.adapted = connection
        self.driver: Any = connection.driver_connection

    @classmethod
    async def open(cls, dialect: Dialect, connect: Callable[[], Any]) -> Backend:
        """Open the connection.

        Args:
            dialect: SQLAlchemy's.
            connect: Opens an adapted one, in SQLAlchemy's greenlet.
        """
        backend = cls(dialect, connect, await greenlet_spawn(connect))
        await backend.prepare()
        return backend

    async def prepare(self) -> None:
        """Keep the adapter from beginning transactions by itself."""

    async def send(self, *statements: str) -> None:
        """Run statements that answer nothing."""
        raise NotImplementedError

    @property
    def in_transaction(self) -> bool:
        """Whether the server is in a transaction, as it said with its last answer."""
        raise NotImplementedError

    @property
    def is_closed(self) -> bool:
        """Whether the connection is known to be lost."""
        raise NotImplementedError

    async def check_constraints(self) -> None:
        """Have the server check what it would check at COMMIT.

        Raises:
            IntegrityError: The adapter's; a constraint is violated.
        """

    async def interrupt(self, running: asyncio.Future[Any]) -> None:
        """End a statement whose caller has been cancelled.

        Args:
            running: The statement.
        """
        raise NotImplementedError

    def begin_alone(self, *, read_only: bool) -> list[str]:
        """What comes before a statement that stands alone.

        Args:
            read_only: It must not write.
        """
        del read_only
        return ["SAVEPOINT hawkapi_alone"]

    def undo_alone(self, *, read_only: bool) -> list[str]:
        """What comes after it, if it failed or must leave nothing."""
        del read_only
        return ["ROLLBACK TO SAVEPOINT hawkapi_alone", "RELEASE SAVEPOINT hawkapi_alone"]

    def keep_alone(self) -> list[str]:
        """What comes after it, if it may store something."""
        return ["RELEASE SAVEPOINT hawkapi_alone"]

    def refusal(self) -> Exception:
        """The driver's error for a write that nobody but us refuses."""
        raise NotImplementedError

    def aborted(self) -> Exception:
        """The driver's error for a transaction that has failed, where there is such a thing."""
        raise NotImplementedError

    def execute(self, statement: str) -> Any:
        """Execute a statement with the adapter, in SQLAlchemy's greenlet; answer the first row."""
        cursor = self.adapted.cursor()
        try:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None
        finally:
            cursor.close()

    async def close(self) -> None:
        """Close the connection, within some seconds, whatever state it is in."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await greenlet_spawn(self.adapted.close)
        except (TimeoutError, OSError, self.dialect.loaded_dbapi.Error):
            self.terminate()

    def terminate(self) -> None:
        """Drop the connection without a word to the server."""
        raise NotImplementedError


class PostgreSQLBackend(Backend):
    """PostgreSQL through asyncpg."""

    aborts_on_error = True
    keeps_settings = False

    async def prepare(self) -> None:
        """In AUTOCOMMIT the adapter sends no BEGIN, and asyncpg knows of no transaction."""
        await greenlet_spawn(self.adapted.set_isolation_level, "autocommit")

    async def send(self, *statements: str) -> None:
        """All at once, by the simple protocol: one round trip, and nothing is prepared."""
        try:
            await self.driver.execute("; ".join(statements))
        except Exception as error:
            # As SQLAlchemy's adapter translates: users catch those.
            await greenlet_spawn(self._translate, error)
            raise

    def _translate(self, error: Exception) -> None:
        translate = getattr(self.adapted, "_handle_exception", None)
        if translate is not None:
            translate(error)

    @property
    def in_transaction(self) -> bool:
        """As the server said with its last answer."""
        return self.driver.is_in_transaction()

    @property
    def is_closed(self) -> bool:
        """As asyncpg knows."""
        return self.driver.is_closed()

    async def check_constraints(self) -> None:
        """Check deferred constraints, and leave them deferred.

        What SET CONSTRAINTS did is undone with its savepoint; what it found is an error already
        (https://www.postgresql.org/docs/current/sql-set-constraints.html).
        """
        await self.send("SAVEPOINT hawkapi_check")
        await greenlet_spawn(self.execute, "SET CONSTRAINTS ALL IMMEDIATE")
        await self.send("ROLLBACK TO SAVEPOINT hawkapi_check", "RELEASE SAVEPOINT hawkapi_check")

    def aborted(self) -> Exception:
        """What the server says of a transaction that failed, until it is rolled back."""
        import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # it ships none

        message = "current transaction is aborted, commands ignored until end of transaction block"
        known: Any = asyncpg.InFailedSQLTransactionError
        return self.dialect.loaded_dbapi.Error(message, known(message))

    def begin_alone(self, *, read_only: bool) -> list[str]:
        """A part of a transaction can be made read-only, and with its end is no more.

        See https://www.postgresql.org/docs/current/sql-set-transaction.html.
        """
        begin = super().begin_alone(read_only=read_only)
        return [*begin, "SET TRANSACTION READ ONLY"] if read_only else begin

    async def interrupt(self, running: asyncio.Future[Any]) -> None:
        """asyncpg has the server cancel the statement."""
        running.cancel()

    def terminate(self) -> None:
        """Close the socket."""
        self.driver.terminate()


class MySQLBackend(Backend):
    """MariaDB and MySQL through aiomysql."""

    can_refuse_writes = False
    commits_by_itself = True

    async def send(self, *statements: str) -> None:
        """One after the other."""
        async with self.driver.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)

    @property
    def in_transaction(self) -> bool:
        """As the server said with its last answer."""
        return bool(self.driver.get_transaction_status())

    @property
    def is_closed(self) -> bool:
        """As aiomysql knows."""
        return self.driver.closed

    async def interrupt(self, running: asyncio.Future[Any]) -> None:
        """Have the server end the statement, over a connection of its own.

        aiomysql closes a connection whose statement is cancelled, and the test's transaction would
        go with it.
        """
        other = MySQLBackend(self.dialect, self.connect, await greenlet_spawn(self.connect))
        try:
            # Again, should the statement not have reached the server yet.
            while not running.done():
                await other.send(f"KILL QUERY {self.driver.thread_id()}")
                await asyncio.wait({running}, timeout=_INTERRUPT_AGAIN)
        finally:
            await other.close()

    def refusal(self) -> Exception:
        """What the server says inside a read-only transaction."""
        message = "Cannot execute statement in a READ ONLY transaction"
        return self.dialect.loaded_dbapi.OperationalError(1792, message)

    def terminate(self) -> None:
        """Close the socket."""
        self.driver.close()


class SQLiteBackend(Backend):
    """SQLite through aiosqlite."""

    def __init__(self, dialect: Dialect, connect: Callable[[], Any], connection: Any) -> None:
        super().__init__(dialect, connect, connection)
        self._has_deferred_keys: bool | None = None

    async def send(self, *statements: str) -> None:
        """One after the other."""
        await greenlet_spawn(self._send, statements)

    def _send(self, statements: Sequence[str]) -> None:
        cursor = self.adapted.cursor()
        try:
            for statement in statements:
                cursor.execute(statement)
        finally:
            cursor.close()

    @property
    def in_transaction(self) -> bool:
        """As the library knows."""
        return self.driver.in_transaction

    @property
    def is_closed(self) -> bool:
        """Never by itself."""
        return False

    async def check_constraints(self) -> None:
        """Look for keys that lead nowhere, where the schema has any that are checked at COMMIT.

        The end of a savepoint checks none of them
        (https://www.sqlite.org/foreignkeys.html#fk_deferred).
        """
        if self._has_deferred_keys is None:
            found = await greenlet_spawn(
                self.execute,
                "SELECT count(*) FROM sqlite_master WHERE sql LIKE '%INITIALLY DEFERRED%'",
            )
            self._has_deferred_keys = bool(found[0])
        if self._has_deferred_keys and await greenlet_spawn(
            self.execute, "PRAGMA foreign_key_check"
        ):
            error: Any = self.dialect.loaded_dbapi.IntegrityError("FOREIGN KEY constraint failed")
            error.sqlite_errorcode = sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
            error.sqlite_errorname = "SQLITE_CONSTRAINT_FOREIGNKEY"
            raise error

    def begin_alone(self, *, read_only: bool) -> list[str]:
        """The connection can refuse writes for a while."""
        begin = super().begin_alone(read_only=read_only)
        return [*begin, "PRAGMA query_only=ON"] if read_only else begin

    def undo_alone(self, *, read_only: bool) -> list[str]:
        """No longer than that."""
        undo = super().undo_alone(read_only=read_only)
        return ["PRAGMA query_only=OFF", *undo] if read_only else undo

    async def interrupt(self, running: asyncio.Future[Any]) -> None:
        """The library ends the statement, if it has begun: one that comes later does not know."""
        while not running.done():
            await self.driver.interrupt()
            await asyncio.wait({running}, timeout=_INTERRUPT_AGAIN)

    def terminate(self) -> None:
        """End the connection's thread."""
        self.driver.stop()


_BACKENDS: dict[str, type[Backend]] = {"postgresql": PostgreSQLBackend, "sqlite": SQLiteBackend}


def backend_for(dialect: Dialect) -> type[Backend]:
    """Choose the backend of a dialect."""
    return _BACKENDS.get(dialect.name, MySQLBackend)
