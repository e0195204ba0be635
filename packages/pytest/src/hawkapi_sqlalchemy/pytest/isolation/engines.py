"""Engines whose connections are parts of one test's transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.engine import Engine as SyncEngine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection
from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.core import DatabaseConfig, Engine
from hawkapi_sqlalchemy.core.access import access_of
from hawkapi_sqlalchemy.core.dialects import DialectPolicy
from hawkapi_sqlalchemy.core.dialects.mysql import MySQLPolicy
from hawkapi_sqlalchemy.core.dialects.postgresql import PostgreSQLPolicy
from hawkapi_sqlalchemy.core.dialects.sqlite import SQLitePolicy
from hawkapi_sqlalchemy.pytest.isolation.members import (
    Member,
    MySQLMember,
    PostgreSQLMember,
    SQLiteMember,
)
from hawkapi_sqlalchemy.pytest.isolation.transaction import SharedTransaction
from hawkapi_sqlalchemy.pytest.portal import Portal

__all__ = ["SharedEngine"]


class _SharedPolicy(DialectPolicy):
    """What a dialect's policy does, as far as it makes sense on a part of a transaction.

    Args:
        config: The database.
        transaction: The test's transaction.
        portal: Runs its loop.
        name: The database's name.
    """

    member: ClassVar[type[Member]]
    loop_bound = False
    can_be_lost = False

    def __init__(
        self, config: DatabaseConfig, transaction: SharedTransaction, portal: Portal, name: str
    ) -> None:
        super().__init__(config)
        self._transaction = transaction
        self._portal = portal
        self._name = name

    def engine_kwargs(self) -> dict[str, Any]:
        """A pool without a limit: its connections cost nothing."""
        return {"poolclass": AsyncAdaptedQueuePool, "pool_size": 20, "max_overflow": -1}

    def connect(
        self, dialect: Dialect, arguments: list[Any], parameters: dict[str, Any]
    ) -> DBAPIConnection:
        """Join the test's transaction, whose connection is opened by who comes first."""

        def open_real() -> DBAPIConnection:
            real = dialect.connect(*arguments, **parameters)
            self.prepare_real(real)
            return real

        opening = self._transaction.connect(dialect, open_real, self.settings())
        backend = await_only(self._portal.bridge(opening))
        member: Any = self.member(self._transaction, self._portal, backend, self._name)
        return member

    def settings(self) -> object:
        """Answer what a connection is configured with, to be compared."""
        config = self.config
        return (
            dict(config.connect_args),
            dict(config.sqlite_pragmas),
            config.statement_timeout,
            config.lock_timeout,
            config.idle_in_transaction_timeout,
        )

    def prepare_real(self, connection: DBAPIConnection) -> None:
        """Set what a new connection of this dialect is taught outside of transactions.

        Args:
            connection: The real one, in SQLAlchemy's greenlet.
        """

    def view_options(self) -> dict[str, Any]:
        """Nothing: `begin` makes a part read-only."""
        return {}

    def snapshot_options(self) -> dict[str, Any]:
        """Nothing: the isolation level is that of the test's transaction."""
        return {}

    def begin(self, connection: Connection) -> None:
        """Have a read-only session's statements refused if they write."""
        member: Any = connection.connection.dbapi_connection
        member.forget_ended_test()
        member.read_only = access_of(connection).is_read_only

    def make_read_only(self, connection: DBAPIConnection) -> None:
        """Have every statement refused that writes."""
        member: Any = connection
        member.read_only = True

    def is_clean(self, driver_connection: Any) -> bool:
        """No transaction is open: another session would go on with it."""
        return driver_connection.hawkapi_member.is_idle

    def is_clean_reader(self, driver_connection: Any) -> bool:
        """Likewise."""
        return self.is_clean(driver_connection)

    def abandon(self, driver_connection: Any) -> None:
        """Nothing: the real connection belongs to the run."""


class _SharedPostgreSQLPolicy(_SharedPolicy, PostgreSQLPolicy):
    """PostgreSQL's errors and settings."""

    member = PostgreSQLMember


class _SharedMySQLPolicy(_SharedPolicy, MySQLPolicy):
    """MariaDB's and MySQL's errors and settings."""

    member = MySQLMember

    def prepare_real(self, connection: DBAPIConnection) -> None:
        """Set the time limits."""
        self.configure(connection)

    def listen(self, engine: SyncEngine) -> None:
        """Nothing: the time limits are set."""


class _SharedSQLitePolicy(_SharedPolicy, SQLitePolicy):
    """SQLite's pragmas, and none of what several connections need between them."""

    member = SQLiteMember

    def prepare_real(self, connection: DBAPIConnection) -> None:
        """Set the pragmas: some are without effect inside a transaction."""
        self.configure(connection)

    def listen(self, engine: SyncEngine) -> None:
        """Nothing: the pragmas are set, and there is no other writer."""

    def lend(
        self, engine: SyncEngine, connect: Callable[[], PoolProxiedConnection]
    ) -> PoolProxiedConnection:
        """At once."""
        del engine
        return connect()

    def after_error(self, connection: Connection) -> None:
        """Nothing: what an error did to the transaction is seen where it runs."""

    def transaction_is_lost(self, connection: Connection, error: BaseException) -> bool:
        """Never by itself."""
        del connection, error
        return False


_POLICIES: dict[str, type[_SharedPolicy]] = {
    "sqlite": _SharedSQLitePolicy,
    "postgresql": _SharedPostgreSQLPolicy,
}


class SharedEngine(Engine):
    """An engine on a test's transaction. Any event loop, and several at once, may use it.

    Args:
        config: The database.
        transaction: The test's transaction.
        portal: Runs its loop.
        name: The database's name.
    """

    def __init__(
        self, config: DatabaseConfig, transaction: SharedTransaction, portal: Portal, *, name: str
    ) -> None:
        policy = _POLICIES.get(config.dialect, _SharedMySQLPolicy)
        super().__init__(config, name=name, policy=policy(config, transaction, portal, name))

    def enter_loop(self) -> None:
        """Nothing: the connection belongs to a loop of its own."""

    @property
    def checked_out(self) -> int:
        """None: an application that shuts down within a test waits for no session of the test's."""
        return 0

    def forget_connections(self) -> None:
        """Have sessions join anew: the real connection was closed."""
        for bind in self._pools.all:
            bind.engine.sync_engine.dispose(close=False)

    async def dispose(self) -> None:
        """Nothing that would outlast the call: the connection belongs to the run."""
        self.forget_connections()
