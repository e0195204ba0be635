"""The exceptions of this package, each a subclass of its host's nearest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import exc as sa_exc

__all__ = [
    "CannotConnectError",
    "CommitOutcomeUnknownError",
    "ConfigurationError",
    "DatabaseNotConfiguredError",
    "DatabaseUnavailableError",
    "HawkAPISQLAlchemyError",
    "PartialCommitError",
    "PoolExhaustedError",
    "PrimaryUnavailableError",
    "ReadOnlyError",
    "ReplicasUnavailableError",
    "SessionEndedError",
    "TransactionLostError",
    "TransactionRequiredError",
    "UnknownDatabaseError",
    "UnknownDatabaseWarning",
]


class HawkAPISQLAlchemyError(Exception):
    """Base of every exception that this package defines."""


class ConfigurationError(HawkAPISQLAlchemyError, ValueError):
    """The configuration cannot work; the message names the remedy."""


class DatabaseNotConfiguredError(HawkAPISQLAlchemyError, LookupError):
    """The application has no database: `init_database` was not called for it."""


class UnknownDatabaseError(HawkAPISQLAlchemyError, LookupError):
    """A writing session was asked for under a name that is not registered.

    Attributes:
        name: The name asked for.
        registered: The names that are registered.
    """

    def __init__(self, name: str, registered: Sequence[str]) -> None:
        self.name = name
        self.registered = tuple(registered)
        known = ", ".join(repr(each) for each in registered) or "none"
        super().__init__(
            f"no database is registered as {name!r}, and a writing session never falls back to "
            f"another one; registered: {known}"
        )


class UnknownDatabaseWarning(UserWarning):
    """A name that is not registered was answered with the primary database."""


class DatabaseUnavailableError(HawkAPISQLAlchemyError, ConnectionError):
    """A database could not be reached at start-up."""


class CannotConnectError(HawkAPISQLAlchemyError, sa_exc.OperationalError):
    """A connection could not be opened.

    Attributes:
        name: The database's name.
        where: Its host and port, or its file; never its password.
        reason: What the driver said.
    """

    def __init__(self, name: str, where: str, reason: str, orig: Exception) -> None:
        self.name = name
        self.where = where
        self.reason = reason
        sa_exc.OperationalError.__init__(self, None, None, orig)

    def __str__(self) -> str:
        return f"cannot connect to database {self.name!r} at {self.where}: {self.reason}"


class CommitOutcomeUnknownError(HawkAPISQLAlchemyError, sa_exc.OperationalError):
    """The connection was lost while the server was committing: the write may be stored or not.

    Whoever tries again must be able to find out, by a unique key for instance.

    Attributes:
        name: The database's name.
    """

    def __init__(self, name: str, orig: Exception) -> None:
        self.name = name
        sa_exc.OperationalError.__init__(self, None, None, orig, connection_invalidated=True)

    def __str__(self) -> str:
        return (
            f"the connection to database {self.name!r} was lost during COMMIT; whether the "
            "transaction is stored is unknown"
        )


class PoolExhaustedError(HawkAPISQLAlchemyError, sa_exc.TimeoutError):
    """No connection became free within the pool's time limit.

    Attributes:
        name: The pool's name, which is the database's.
        size: Connections that the pool keeps (`pool_size`).
        max_overflow: Connections that it may open beyond those.
        checked_out: Connections in use when the time was up.
        timeout: How long was waited, in seconds.
    """

    def __init__(
        self, name: str, *, size: int, max_overflow: int, checked_out: int, timeout: float
    ) -> None:
        self.name = name
        self.size = size
        self.max_overflow = max_overflow
        self.checked_out = checked_out
        self.timeout = timeout
        super().__init__(
            f"the connection pool of database {name!r} is exhausted: {checked_out} connections "
            f"are in use (pool_size={size}, max_overflow={max_overflow}) and none became free "
            f"within pool_timeout={timeout:g} s"
        )


class SessionEndedError(HawkAPISQLAlchemyError, sa_exc.InvalidRequestError):
    """A session was used after the request, or the block, that it belonged to."""


class ReadOnlyError(HawkAPISQLAlchemyError, sa_exc.InvalidRequestError):
    """The server refused a write of a read-only session."""


class ReplicasUnavailableError(HawkAPISQLAlchemyError, ConnectionError):
    """No replica serves, and with `when_all_down="error"` the primary does not stand in.

    Attributes:
        reasons: Why, by each replica's name.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = dict(reasons)
        told = "; ".join(f"{name!r}: {reason}" for name, reason in self.reasons.items())
        super().__init__(f"no replica serves ({told})")


class PrimaryUnavailableError(HawkAPISQLAlchemyError, sa_exc.InvalidRequestError):
    """The server refused a write because it is no longer the primary.

    Its pooled connections have been given up, so that the next session connects anew.
    """


class TransactionLostError(HawkAPISQLAlchemyError, sa_exc.InvalidRequestError):
    """An earlier error had ended the transaction, so there was nothing left to commit.

    PostgreSQL answers a COMMIT of an aborted transaction with a silent ROLLBACK, and a MariaDB
    deadlock rolls everything back while the connection goes on. Code that swallows such an error
    would otherwise acknowledge a write that is gone.
    """


class TransactionRequiredError(HawkAPISQLAlchemyError, sa_exc.InvalidRequestError):
    """A read-only session was asked for what only a transaction has.

    Its statements each stand for themselves. A savepoint, and PostgreSQL's server-side cursors,
    need `snapshot=True`.
    """

    @classmethod
    def of(cls, name: str, what: str) -> TransactionRequiredError:
        """Make one.

        Args:
            name: The database's name.
            what: What was asked of it.
        """
        return cls(
            f"{what} needs a transaction, and the statements of this read-only session of database "
            f"{name!r} each stand for themselves; ask for one with `session_for({name!r}, "
            f"commit=False, snapshot=True)` or `db.session({name!r}, commit=False, snapshot=True)`"
        )


class PartialCommitError(HawkAPISQLAlchemyError):
    """One of several databases refused its COMMIT after others had committed.

    Attributes:
        committed: The databases whose writes are stored, in the order of their commits.
        failed: The database whose commit failed; the error itself is `__cause__`.
        rolled_back: The databases that were not tried any more.
    """

    def __init__(
        self, committed: Sequence[str], failed: str, rolled_back: Sequence[str] = ()
    ) -> None:
        self.committed = tuple(committed)
        self.failed = failed
        self.rolled_back = tuple(rolled_back)
        message = (
            f"COMMIT failed on database {failed!r} after it had succeeded on "
            f"{', '.join(repr(each) for each in committed)}"
        )
        if rolled_back:
            message += f"; rolled back: {', '.join(repr(each) for each in rolled_back)}"
        super().__init__(message)
