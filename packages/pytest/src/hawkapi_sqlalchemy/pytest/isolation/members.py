"""What SQLAlchemy takes for connections: parts of the one transaction of a test."""

from __future__ import annotations

import itertools
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from hawkapi_sqlalchemy.pytest.isolation.backends import Backend
from hawkapi_sqlalchemy.pytest.isolation.cursors import MemberCursor
from hawkapi_sqlalchemy.pytest.isolation.drivers import DriverStandIn
from hawkapi_sqlalchemy.pytest.isolation.statements import Kind, Statement, understand
from hawkapi_sqlalchemy.pytest.isolation.transaction import SharedTransaction
from hawkapi_sqlalchemy.pytest.isolation.turns import Call
from hawkapi_sqlalchemy.pytest.isolation.units import Unit
from hawkapi_sqlalchemy.pytest.portal import Portal

__all__ = ["Member", "MySQLMember", "PostgreSQLMember", "SQLiteMember"]

__tracebackhide__ = True
"""An error of a statement is shown where it was sent from."""

_RESET = re.compile(r"PRAGMA read_uncommitted|SET SESSION TRANSACTION", re.IGNORECASE)
"""What SQLAlchemy sets with an isolation level, and back when the connection returns."""
_numbers = itertools.count(1)

_inside: ContextVar[tuple[Unit, ...]] = ContextVar("hawkapi_inside", default=())
"""The transactions that are open around the running code. A task inherits those of its creator,
which may be waiting for it; tasks beside each other know nothing of one another's."""


class Member(AdaptedConnection):
    """A connection of SQLAlchemy's that is in truth a part of a test's transaction.

    Its transactions are savepoints. All methods that speak to the server are called in
    SQLAlchemy's greenlet, in whatever event loop.

    Args:
        transaction: The test's transaction.
        portal: Runs the loop of that transaction.
        backend: The real connection.
        name: The database's name, for messages.

    Attributes:
        read_only: The server refuses what writes.
    """

    def __init__(
        self, transaction: SharedTransaction, portal: Portal, backend: Backend, name: str
    ) -> None:
        self._transaction = transaction
        self._portal = portal
        self._backend = backend
        self._connection: Any = DriverStandIn(self, transaction, portal)
        self._owner = f"session {next(_numbers)} of database {name!r}"
        self._unit: Unit | None = None
        self._autocommits = False
        self.read_only = False

    await_ = staticmethod(await_only)
    """Of SQLAlchemy 2.0's adapters: its dialects prepare connections with it."""

    def cursor(self, server_side: bool = False) -> MemberCursor:  # noqa: FBT001, FBT002  # SQLAlchemy's own signature
        """Make a cursor; one that streams keeps its rows on this side all the same."""
        del server_side
        return MemberCursor(self)

    def execute(self, operation: str, parameters: Any = None) -> MemberCursor:
        """Execute a statement with a cursor of its own."""
        cursor = self.cursor()
        cursor.execute(operation, parameters)
        return cursor

    def run(self, operation: str, execute: Callable[[Any], Any]) -> bool:
        """Run a statement.

        Args:
            operation: Its text.
            execute: Runs it on the real connection.

        Returns:
            Whether it was run; what begins and ends transactions is done otherwise.
        """
        statement = understand(operation)
        if statement.kind is Kind.BEGIN:
            return False
        if statement.kind is Kind.COMMIT:
            self.commit()
            return False
        if statement.kind is Kind.ROLLBACK:
            self.rollback()
            return False
        await_only(self.send(statement, execute, is_reset=bool(_RESET.match(operation))))
        alone = self.read_only or self._autocommits
        return alone or not statement.savepoint

    async def send(
        self, statement: Statement, execute: Callable[[Any], Any], *, is_reset: bool = False
    ) -> None:
        """Run a statement in the test's transaction.

        Args:
            statement: What it does.
            execute: Runs it on the real connection, in SQLAlchemy's greenlet.
            is_reset: It changes what SQLAlchemy changes back by itself.
        """
        call = Call(
            self._owner,
            statement,
            execute,
            self.read_only,
            _inside.get(),
            self._unit,
            alone=self.read_only or self._autocommits,
            is_reset=is_reset,
        )
        try:
            await self._portal.bridge(
                self._transaction.execute(call),
                interrupt=lambda: self._transaction.interrupt(call),
            )
        finally:
            unit = call.unit
            if unit is not None and self._unit is None and unit.test == self._transaction.test:
                self._unit = unit
                _inside.set((*_inside.get(), unit))

    @property
    def is_idle(self) -> bool:
        """Whether no transaction of it is open."""
        return self._unit is None

    def forget_ended_test(self) -> None:
        """Forget a transaction that has ended with its test."""
        if self._unit is not None and self._unit.test != self._transaction.test:
            self._leave(self._unit)

    def commit(self) -> None:
        """Keep what was done, as far as the test's transaction keeps anything."""
        unit = self._unit
        if unit is not None:
            self._leave(unit)
            await_only(self._portal.bridge(self._transaction.commit(unit)))

    def rollback(self) -> None:
        """Undo what was done since the transaction began."""
        unit = self._unit
        if unit is not None:
            self._leave(unit)
            await_only(self._portal.bridge(self._transaction.rollback(unit)))

    def _leave(self, unit: Unit) -> None:
        self._unit = None
        _inside.set(tuple(each for each in _inside.get() if each is not unit))

    def close(self) -> None:
        """Roll back; the real connection stays."""
        self.rollback()

    def _autocommit(self, *, on: bool) -> None:
        """Have each statement stand alone, or not."""
        self.rollback()
        self._autocommits = on

    def terminate(self) -> None:
        """Roll back, as a server does that loses a client; nobody waits for it."""
        unit = self._unit
        if unit is not None:
            self._leave(unit)
            self._portal.post(self._transaction.rollback(unit))

    def run_async(self, fn: Callable[[Any], Awaitable[Any]]) -> Any:
        """Run a coroutine function with the driver's connection, or what stands for it."""
        return await_only(fn(self._connection))

    def ping(self, reconnect: bool = False) -> None:  # noqa: FBT001, FBT002  # the adapter's own signature
        """Nothing: the test would not go on without the connection."""

    def __getattr__(self, name: str) -> Any:
        # What an adapter has beyond the common: `create_function` of SQLite's, for instance.
        value = getattr(self._backend.adapted, name)
        if not callable(value):
            return value

        def bridged(*args: Any, **kwargs: Any) -> Any:
            lent = self._transaction.lend(lambda: greenlet_spawn(value, *args, **kwargs))
            return await_only(self._portal.bridge(lent))

        return bridged


class PostgreSQLMember(Member):
    """With what SQLAlchemy asks of asyncpg's adapter.

    Attributes:
        isolation_level: The level that was asked for; it is that of the test's transaction.
        deferrable: An option without meaning here.
    """

    isolation_level: str | None = None
    deferrable = False

    def set_isolation_level(self, level: str | None) -> None:
        """Take over whether statements stand alone."""
        self._autocommit(on=level == "autocommit")
        self.isolation_level = level

    @property
    def autocommit(self) -> bool:
        """Whether each statement stands alone."""
        return self._autocommits

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self._autocommit(on=value)

    @property
    def readonly(self) -> bool:
        """An option of the dialect: the server refuses what writes."""
        return self.read_only

    @readonly.setter
    def readonly(self, value: bool) -> None:
        self.read_only = value


class MySQLMember(Member):
    """With what SQLAlchemy asks of aiomysql's adapter."""

    def autocommit(self, value: object) -> None:
        """Have each statement stand alone, or not."""
        self._autocommit(on=bool(value))

    def get_autocommit(self) -> bool:
        """Whether each statement stands alone."""
        return self._autocommits

    def character_set_name(self) -> str | None:
        """The connection's character set."""
        return self._connection.character_set_name()


class SQLiteMember(Member):
    """With what SQLAlchemy asks of aiosqlite's adapter."""

    @property
    def isolation_level(self) -> str | None:
        """`None` where each statement stands alone, as sqlite3 has it."""
        return None if self._autocommits else ""

    @isolation_level.setter
    def isolation_level(self, value: str | None) -> None:
        self._autocommit(on=value is None)
