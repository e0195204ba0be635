"""What kind of failure a database error is, told by the server's own code.

Exception classes do not tell: asyncpg's serialisation failures arrive as a plain `DBAPIError`. The
codes do: SQLSTATE for PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html),
the error number for MariaDB and MySQL (https://mariadb.com/kb/en/mariadb-error-code-reference/),
the extended result code for SQLite (https://www.sqlite.org/rescode.html).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from enum import Enum, auto

from sqlalchemy import exc as sa_exc
from sqlalchemy.orm.exc import StaleDataError

from hawkapi_sqlalchemy.core.errors import (
    CannotConnectError,
    CommitOutcomeUnknownError,
    DatabaseUnavailableError,
    PartialCommitError,
    PrimaryUnavailableError,
    ReadOnlyError,
    ReplicasUnavailableError,
    TransactionLostError,
)

__all__ = [
    "Fault",
    "ends_connection",
    "error_code",
    "fault_of",
    "is_retryable",
    "leaves_connection",
]


class Fault(Enum):
    """A kind of failure, independent of the server that reported it."""

    UNIQUE = auto()
    FOREIGN_KEY = auto()
    STALE = auto()
    POOL_EXHAUSTED = auto()
    UNREACHABLE = auto()
    DEADLOCK = auto()
    SERIALIZATION = auto()
    LOCK_TIMEOUT = auto()
    STATEMENT_TIMEOUT = auto()
    WRITE_REFUSED = auto()
    OTHER = auto()


_BY_CODE: Mapping[str | int, Fault] = {
    # PostgreSQL; an exclusion constraint is a unique constraint of another shape
    "23505": Fault.UNIQUE,
    "23P01": Fault.UNIQUE,
    "23503": Fault.FOREIGN_KEY,
    "40001": Fault.SERIALIZATION,
    "40P01": Fault.DEADLOCK,
    "55P03": Fault.LOCK_TIMEOUT,
    "57014": Fault.STATEMENT_TIMEOUT,
    "25006": Fault.WRITE_REFUSED,
    # shut down, crashed, starting up, too many connections; ended for idling in a transaction
    "57P01": Fault.UNREACHABLE,
    "57P02": Fault.UNREACHABLE,
    "57P03": Fault.UNREACHABLE,
    "53300": Fault.UNREACHABLE,
    "25P03": Fault.UNREACHABLE,
    "57P05": Fault.UNREACHABLE,
    "08000": Fault.UNREACHABLE,
    "08001": Fault.UNREACHABLE,
    "08003": Fault.UNREACHABLE,
    "08004": Fault.UNREACHABLE,
    "08006": Fault.UNREACHABLE,
    # MariaDB and MySQL
    1062: Fault.UNIQUE,
    1586: Fault.UNIQUE,
    1216: Fault.FOREIGN_KEY,
    1217: Fault.FOREIGN_KEY,
    1451: Fault.FOREIGN_KEY,
    1452: Fault.FOREIGN_KEY,
    1020: Fault.SERIALIZATION,
    1205: Fault.LOCK_TIMEOUT,
    1213: Fault.DEADLOCK,
    1969: Fault.STATEMENT_TIMEOUT,
    3024: Fault.STATEMENT_TIMEOUT,
    1290: Fault.WRITE_REFUSED,
    1792: Fault.WRITE_REFUSED,
    1836: Fault.WRITE_REFUSED,
    1040: Fault.UNREACHABLE,
    1053: Fault.UNREACHABLE,
    1927: Fault.UNREACHABLE,
    2002: Fault.UNREACHABLE,
    2003: Fault.UNREACHABLE,
    2006: Fault.UNREACHABLE,
    2013: Fault.UNREACHABLE,
    2014: Fault.UNREACHABLE,
    4031: Fault.UNREACHABLE,
}

_SQLITE_EXTENDED: Mapping[int, Fault] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: Fault.UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: Fault.UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_ROWID: Fault.UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: Fault.FOREIGN_KEY,
    sqlite3.SQLITE_BUSY_SNAPSHOT: Fault.SERIALIZATION,
}

_SQLITE_PRIMARY: Mapping[int, Fault] = {
    sqlite3.SQLITE_BUSY: Fault.LOCK_TIMEOUT,
    sqlite3.SQLITE_LOCKED: Fault.LOCK_TIMEOUT,
    sqlite3.SQLITE_INTERRUPT: Fault.STATEMENT_TIMEOUT,
    sqlite3.SQLITE_READONLY: Fault.WRITE_REFUSED,
    sqlite3.SQLITE_CANTOPEN: Fault.UNREACHABLE,
}

_BY_CLASS: tuple[tuple[type[BaseException], Fault], ...] = (
    (StaleDataError, Fault.STALE),
    (PrimaryUnavailableError, Fault.UNREACHABLE),
    (DatabaseUnavailableError, Fault.UNREACHABLE),
    (ReplicasUnavailableError, Fault.UNREACHABLE),
    (CannotConnectError, Fault.UNREACHABLE),
    (CommitOutcomeUnknownError, Fault.UNREACHABLE),
    (ReadOnlyError, Fault.OTHER),
    (sa_exc.TimeoutError, Fault.POOL_EXHAUSTED),
)

_FAREWELLS = frozenset({"57P01", "57P02", "57P05", "25P03", 1053, 1927})
"""Codes with which a server ends a connection that it had accepted."""

_CLIENT_ERRORS = range(2000, 3000)
"""Numbers of the errors that MySQL's drivers raise by themselves."""

_RETRYABLE = frozenset({Fault.DEADLOCK, Fault.SERIALIZATION, Fault.LOCK_TIMEOUT})


def error_code(error: BaseException) -> str | int | None:
    """Find the server's code in a driver's error.

    Args:
        error: The driver's error, as `DBAPIError.orig` holds it.

    Returns:
        SQLSTATE, MariaDB/MySQL error number or SQLite extended result code; `None` if there is
        none.
    """
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", None)
    # MariaDB's number comes before its SQLSTATE, which PyMySQL sets too but which tells less.
    if error.args and isinstance(error.args[0], int):
        return error.args[0]
    return getattr(error, "sqlstate", None)


def ends_connection(error: BaseException) -> bool:
    """Tell whether a server's error is the last word on its connection.

    Args:
        error: The driver's error.
    """
    return error_code(error) in _FAREWELLS


def leaves_connection(error: BaseException) -> bool:
    """Tell whether an error is a server's whole answer, after which its connection may go on.

    Args:
        error: The driver's error.
    """
    code = error_code(error)
    if code is None or _BY_CODE.get(code) is Fault.UNREACHABLE:
        return False
    return isinstance(code, str) or code not in _CLIENT_ERRORS


def _fault_of_driver_error(error: BaseException) -> Fault:
    code = error_code(error)
    if code is None:
        return Fault.OTHER
    if isinstance(code, int) and isinstance(error, sqlite3.Error):
        # The low byte of an extended result code is the primary one.
        return _SQLITE_EXTENDED.get(code) or _SQLITE_PRIMARY.get(code & 0xFF, Fault.OTHER)
    return _BY_CODE.get(code, Fault.OTHER)


def fault_of(error: BaseException) -> Fault:
    """Classify an error raised by a session.

    Args:
        error: Any exception; `PartialCommitError` and `TransactionLostError` answer for their
            cause.

    Returns:
        The kind of failure, `Fault.OTHER` for what is not one of the known kinds.
    """
    for kind, fault in _BY_CLASS:
        if isinstance(error, kind):
            return fault
    if isinstance(error, (PartialCommitError, TransactionLostError)):
        return Fault.OTHER if error.__cause__ is None else fault_of(error.__cause__)
    if isinstance(error, sa_exc.DBAPIError) and error.orig is not None:
        fault = _fault_of_driver_error(error.orig)
        if fault is Fault.OTHER and error.connection_invalidated:
            return Fault.UNREACHABLE
        if fault is Fault.OTHER and _is_time_limit(error.orig):
            return Fault.STATEMENT_TIMEOUT
        return fault
    return Fault.OTHER


def _is_time_limit(error: BaseException) -> bool:
    return isinstance(error.__cause__, TimeoutError)


def is_retryable(error: BaseException) -> bool:
    """Tell whether the whole unit of work may succeed when it is run again.

    Args:
        error: What ended the unit of work, at a statement or at COMMIT.

    Returns:
        `True` for deadlocks, serialisation failures and lock time-outs. A lost connection is not
        among them: whether its COMMIT held is unknown, and running the work again could do it
        twice. Neither is `PartialCommitError`: running it again would do the stored part twice.
    """
    return not isinstance(error, PartialCommitError) and fault_of(error) in _RETRYABLE
