"""What a dialect's policy answers, with the answers that fit most dialects."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import PoolProxiedConnection

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.errors import ConfigurationError

__all__ = ["DialectPolicy"]


class DialectPolicy:
    """How one database's connections are opened, begun, and judged after an error.

    Args:
        config: The database.
    """

    driver: ClassVar[str]
    """The driver's module."""
    extra: ClassVar[str | None] = None
    """The extra of `hawkapi-sqlalchemy` that installs the driver."""
    loop_bound: ClassVar[bool] = True
    """Whether the driver's connections work only in the event loop that opened them."""
    can_be_lost: ClassVar[bool] = True
    """Whether there is a server that could end a connection."""

    def __init__(self, config: DatabaseConfig) -> None:
        self.config = config

    def require_driver(self) -> None:
        """Check that the driver is installed.

        Raises:
            ConfigurationError: It is not; the message names the extra to install.
        """
        if importlib.util.find_spec(self.driver) is None:
            remedy = f"hawkapi-sqlalchemy[{self.extra}]" if self.extra else self.driver
            raise ConfigurationError(
                f"the driver {self.driver!r} is not installed; run: pip install '{remedy}'"
            )

    def engine_url(self) -> URL:
        """The URL that SQLAlchemy connects to."""
        return self.config.sqlalchemy_url

    def connect_args(self) -> dict[str, Any]:
        """The driver's connection arguments."""
        return {}

    def engine_kwargs(self) -> dict[str, Any]:
        """Arguments of `create_async_engine` beyond the pool's."""
        return {}

    def access_options(self, access: Access) -> Mapping[str, Any]:
        """Execution options of a session that may write; none unless its BEGIN depends on them."""
        del access
        return {}

    def view_options(self) -> Mapping[str, Any]:
        """Execution options that make a transaction read-only."""
        return {}

    def snapshot_options(self) -> Mapping[str, Any]:
        """Execution options that make a transaction read-only, and show it one state alone."""
        return self.view_options()

    def can_autocommit(self) -> bool:
        """Tell whether read-only sessions may do without transactions.

        They do on a pool of their own, whose connections are made read-only once. The owner of the
        configuration may have decided otherwise: by its switch, by an isolation level or other
        execution options, or by opening the connections himself.
        """
        engine = self.config.engine_kwargs
        if not self.config.autocommit_reads:
            return False
        decided = {"pool", "creator", "async_creator", "isolation_level", "execution_options"}
        arguments = {**self.config.connect_args, **engine.get("connect_args", {})}
        return decided.isdisjoint(engine) and "async_creator_fn" not in arguments

    def connect(
        self, dialect: Dialect, arguments: list[Any], parameters: dict[str, Any]
    ) -> DBAPIConnection:
        """Open a connection. Called in SQLAlchemy's greenlet.

        Args:
            dialect: SQLAlchemy's.
            arguments: Of the driver's `connect()`.
            parameters: Likewise, by name.
        """
        return dialect.connect(*arguments, **parameters)

    def open(self) -> None:
        """Prepare what must exist before the first connection."""

    def close(self) -> None:
        """Release what `open` prepared. Called when the engine is disposed."""

    def loop_changed(self) -> None:
        """Forget what belonged to an event loop that is gone."""

    def listen(self, engine: Engine) -> None:
        """Register the events that this dialect needs.

        Args:
            engine: The engine below the `AsyncEngine`.
        """

    def lend(
        self, engine: Engine, connect: Callable[[], PoolProxiedConnection]
    ) -> PoolProxiedConnection:
        """Check a connection out for a session that has execution options.

        Args:
            engine: The session's engine, which has them.
            connect: Checks one out.
        """
        del engine
        return connect()

    def begin(self, connection: Connection) -> None:
        """Begin a transaction, beyond what SQLAlchemy does by itself.

        Args:
            connection: The connection; there is no transaction on it yet.
        """

    def make_read_only(self, connection: DBAPIConnection) -> None:
        """Have the server refuse every write of a new connection, from now on.

        Args:
            connection: A connection in AUTOCOMMIT that SQLAlchemy has just opened.
        """

    def is_clean(self, driver_connection: Any) -> bool:
        """Tell from this side alone whether another session may have a connection.

        Args:
            driver_connection: The driver's own connection, on its way back into the pool.
        """
        del driver_connection
        return True

    def is_clean_reader(self, driver_connection: Any) -> bool:
        """Tell the same of a connection that `make_read_only` had: is it so still?

        Args:
            driver_connection: The driver's own connection, on its way back into the pool.
        """
        return self.is_clean(driver_connection)

    def seems_alive(self, driver_connection: Any) -> bool:
        """Tell from this side alone; `False` means that the server has to be asked.

        Args:
            driver_connection: The driver's own connection, idle.
        """
        del driver_connection
        return True

    def ping(self, driver_connection: Any) -> Awaitable[object]:
        """Ask the server, within the time that connecting may take.

        Args:
            driver_connection: The driver's own connection, idle.
        """
        raise NotImplementedError

    def ping_errors(self) -> tuple[type[Exception], ...]:
        """What `ping` raises when the connection is lost, beyond `OSError`."""
        return self.connect_errors()

    def transaction_is_lost(self, connection: Connection, error: BaseException) -> bool:
        """Tell, at COMMIT, whether an earlier error has already ended the transaction.

        Args:
            connection: The connection about to commit; statements may be run on it.
            error: The driver's error that was reported in this transaction.
        """
        del connection, error
        return False

    def after_error(self, connection: Connection) -> None:
        """Note, or repair, what an error did to the transaction.

        Args:
            connection: The connection that reported it; it is still open.
        """

    def gravity(self, error: BaseException) -> int:
        """Rank an error by what it does to the transaction: a later, lighter one hides none.

        Args:
            error: The driver's error.
        """
        del error
        return 0

    def connect_errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises when it cannot connect, beyond `OSError`."""
        return ()

    def abandon(self, driver_connection: Any) -> None:
        """Drop a connection whose event loop can no longer be used to close it.

        Args:
            driver_connection: The driver's own connection.
        """

    async def max_connections(self, connection: AsyncConnection) -> int | None:
        """Ask how many connections the server accepts; `None` where that means nothing."""
        del connection
        return None


def cursor_execute(connection: DBAPIConnection, *statements: str) -> None:
    """Run statements on a connection that SQLAlchemy has just opened.

    Args:
        connection: The adapted driver connection.
        statements: SQL texts, run in order.
    """
    cursor = connection.cursor()
    try:
        for statement in statements:
            cursor.execute(statement)
    finally:
        cursor.close()
