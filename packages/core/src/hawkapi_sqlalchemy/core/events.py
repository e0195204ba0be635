"""What an engine's connections are taught: to connect, to begin, to fail clearly."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Dialect, Engine, ExceptionContext
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.core.access import access_of
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.dialects import DialectPolicy
from hawkapi_sqlalchemy.core.errors import (
    CannotConnectError,
    CommitOutcomeUnknownError,
    PrimaryUnavailableError,
    ReadOnlyError,
    TransactionLostError,
    TransactionRequiredError,
)
from hawkapi_sqlalchemy.core.faults import Fault, ends_connection, error_code, fault_of
from hawkapi_sqlalchemy.core.hooks import hook_transactions
from hawkapi_sqlalchemy.core.names import set_name

__all__ = [
    "CommitObserver",
    "address_of",
    "listen_to_connects",
    "listen_to_reads",
    "listen_to_transactions",
]

_ERROR = "hawkapi_error"
_COMMITTING = "hawkapi_committing"
"""Attributes of SQLAlchemy's `Connection`, which is made anew at each checkout."""
_NO_TRANSACTION = "25P01"
"""PostgreSQL's code, which asyncpg raises by itself too."""


class CommitObserver(Protocol):
    """Who is told of the COMMITs that may have stored something. Must not raise."""

    def committed(self, connection: Connection) -> None:
        """A COMMIT has held, or a connection in AUTOCOMMIT has been used.

        It is called in SQLAlchemy's greenlet.

        Args:
            connection: The connection, which is in no transaction any more.
        """
        ...

    def outcome_unknown(self) -> None:
        """A COMMIT may have held: its connection was lost, or nobody could see it end."""
        ...


def address_of(url: URL) -> str:
    """Tell where a database is: host and port, or the file; never a password.

    Args:
        url: The database's URL.
    """
    hosts = url.query.get("host", ())
    several = (hosts,) if isinstance(hosts, str) else hosts
    if several:
        return ", ".join(several)
    if url.host is None:
        return url.database or "memory"
    return url.host if url.port is None else f"{url.host}:{url.port}"


def listen_to_connects(
    engine: Engine, name: str, config: DatabaseConfig, policy: DialectPolicy
) -> None:
    """Open connections with a fresh password, and name the database when one cannot be opened.

    Args:
        engine: The engine below the `AsyncEngine`.
        name: The database's name.
        config: The database.
        policy: Its dialect's policy, whose own events are registered too.
    """
    where = address_of(config.sqlalchemy_url)
    password = config.password if callable(config.password) else None
    # A host name that cannot be encoded is a UnicodeError.
    refusals = (OSError, UnicodeError, *policy.connect_errors())

    @event.listens_for(engine, "do_connect")
    def connect(
        dialect: Dialect,
        record: ConnectionPoolEntry | None,
        arguments: list[Any],
        parameters: dict[str, Any],
    ) -> DBAPIConnection:
        del record
        if password is not None:
            try:
                parameters["password"] = _ask(password)
            except Exception as error:
                # Its text is a stranger's, and may tell the secret.
                reason = f"the password callable raised {type(error).__name__}"
                raise CannotConnectError(name, where, reason, error) from error
        try:
            return policy.connect(dialect, arguments, parameters)
        except (*refusals, dialect.loaded_dbapi.Error) as error:
            reason = str(error) or type(error).__name__
            raise CannotConnectError(name, where, reason, error) from error

    policy.listen(engine)
    del connect


def _ask(password: Callable[[], Any]) -> str:
    answer = password()
    # New connections are opened inside SQLAlchemy's greenlet, where awaiting is possible.
    return await_only(answer) if inspect.isawaitable(answer) else answer


def listen_to_transactions(
    engine: Engine,
    name: str,
    policy: DialectPolicy,
    *,
    on_demotion: Callable[[], None],
    observers: Sequence[CommitObserver],
) -> None:
    """Never let a COMMIT pass that has nothing left to commit, and make driver errors clear.

    Args:
        engine: The engine below the `AsyncEngine`.
        name: The database's name.
        policy: Its dialect's policy.
        on_demotion: Called when the server refuses a write because it is the primary no more.
        observers: Are told of its COMMITs.
    """

    def begin(connection: Connection) -> None:
        state = vars(connection)
        state.pop(_ERROR, None)
        state.pop(_COMMITTING, None)
        policy.begin(connection)

    def commit(connection: Connection) -> None:
        state = vars(connection)
        error: BaseException | None = state.pop(_ERROR, None)
        if error is not None and policy.transaction_is_lost(connection, _original(error)):
            raise TransactionLostError(
                f"database {name!r}: an earlier error, swallowed by the application, had already "
                "rolled the transaction back; nothing of it is stored"
            ) from error
        state[_COMMITTING] = True

    def committed(connection: Connection) -> None:
        if observers and not access_of(connection).is_read_only:
            vars(connection).pop(_COMMITTING, None)
            for observer in observers:
                observer.committed(connection)

    def unseen(connection: Connection) -> None:
        if not access_of(connection).is_read_only:
            for observer in observers:
                observer.outcome_unknown()

    def rolled_back(connection: Connection) -> None:
        if not observers or connection.closed or connection.invalidated:
            return
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            # It ends what was stored statement by statement.
            committed(connection)

    @event.listens_for(engine, "handle_error")
    def handle_error(context: ExceptionContext) -> BaseException | None:
        connection = context.connection
        if connection is None:
            return None
        read_only = access_of(connection).is_read_only
        committing = vars(connection).get(_COMMITTING, False)
        replacement = _clearer(context, connection, name, read_only=read_only)
        if committing and (
            isinstance(replacement, CommitOutcomeUnknownError)
            # A cancellation, or a time limit: the server may have done it all the same.
            or not isinstance(context.original_exception, Exception)
        ):
            unseen(connection)
        if isinstance(replacement, PrimaryUnavailableError):
            on_demotion()
        if not context.is_disconnect and not connection.invalidated and not connection.closed:
            policy.after_error(connection)
            seen = context.sqlalchemy_exception or context.original_exception
            state = vars(connection)
            before: BaseException | None = state.get(_ERROR)
            if before is None or policy.gravity(_original(seen)) >= policy.gravity(
                _original(before)
            ):
                state[_ERROR] = seen
        return replacement

    hook_transactions(
        engine,
        begin=begin,
        commit=commit,
        committed=committed,
        unseen=unseen,
        rolled_back=rolled_back,
        lend=policy.lend,
    )
    del handle_error


def listen_to_reads(engine: Engine, name: str) -> None:
    """Make errors clear that read-only connections report.

    Args:
        engine: The engine below the `AsyncEngine`, in AUTOCOMMIT.
        name: The database's name.
    """

    @event.listens_for(engine, "handle_error")
    def handle_error(context: ExceptionContext) -> BaseException | None:
        connection = context.connection
        if connection is None:
            return None
        if error_code(context.original_exception) == _NO_TRANSACTION:
            return TransactionRequiredError.of(
                set_name(name), "this statement (a server-side cursor, or LOCK TABLE, for instance)"
            )
        return _clearer(context, connection, name, read_only=True)

    del handle_error


def _original(error: BaseException) -> BaseException:
    return getattr(error, "orig", None) or error


def _clearer(
    context: ExceptionContext, connection: Connection, name: str, *, read_only: bool
) -> BaseException | None:
    original = context.original_exception
    wrapped = context.sqlalchemy_exception
    if ends_connection(original):
        # The server says farewell, and the driver has not seen the end of the stream yet.
        context.is_disconnect = True
    committing = vars(connection).pop(_COMMITTING, False)
    lost = context.is_disconnect or isinstance(original, OSError)
    if committing and lost and context.statement is None and isinstance(original, Exception):
        context.is_disconnect = True
        return CommitOutcomeUnknownError(name, original)
    if isinstance(original, OSError):
        # SQLAlchemy 2.0 hands asyncpg's network errors on as they are. A time limit of the
        # driver's own is among them, and leaves a connection in the middle of an answer.
        context.is_disconnect = True
        driver_error = context.dialect.loaded_dbapi.OperationalError(
            str(original) or type(original).__name__
        )
        driver_error.__cause__ = original
        return OperationalError(
            context.statement,
            None,
            driver_error,
            hide_parameters=True,
            connection_invalidated=not isinstance(original, TimeoutError),
        )
    if wrapped is None or fault_of(wrapped) is not Fault.WRITE_REFUSED:
        return None
    if read_only:
        return ReadOnlyError(
            f"the session of database {name!r} is read-only, and the server refused its write; "
            "for writes use get_session or session_for(name) of a writable database"
        )
    # A primary that became a standby goes on serving its old connections: give them all up, so
    # that the next session connects to whoever is the primary now.
    context.is_disconnect = True
    return PrimaryUnavailableError(
        f"database {name!r} refused a write because it is read-only now; its connections are "
        "given up, and the next session connects anew"
    )
