"""Every error code that is told apart, and what may be tried again."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy import exc as sa_exc
from sqlalchemy.orm.exc import StaleDataError

from hawkapi_sqlalchemy.core.errors import (
    CannotConnectError,
    CommitOutcomeUnknownError,
    DatabaseUnavailableError,
    PartialCommitError,
    PoolExhaustedError,
    PrimaryUnavailableError,
    ReadOnlyError,
    TransactionLostError,
)
from hawkapi_sqlalchemy.core.faults import Fault, error_code, fault_of, is_retryable

POSTGRESQL = {
    Fault.UNIQUE: ["23505", "23P01"],
    Fault.FOREIGN_KEY: ["23503"],
    Fault.SERIALIZATION: ["40001"],
    Fault.DEADLOCK: ["40P01"],
    Fault.LOCK_TIMEOUT: ["55P03"],
    Fault.STATEMENT_TIMEOUT: ["57014"],
    Fault.WRITE_REFUSED: ["25006"],
    Fault.UNREACHABLE: [
        *("57P01", "57P02", "57P03", "53300", "25P03"),
        *("08000", "08001", "08003", "08004", "08006"),
    ],
    Fault.OTHER: ["23502", "23514", "42601", "42P01", "22001", "53100"],
}
MARIADB = {
    Fault.UNIQUE: [1062, 1586],
    Fault.FOREIGN_KEY: [1216, 1217, 1451, 1452],
    Fault.SERIALIZATION: [1020],
    Fault.DEADLOCK: [1213],
    Fault.LOCK_TIMEOUT: [1205],
    Fault.STATEMENT_TIMEOUT: [1969, 3024],
    Fault.WRITE_REFUSED: [1290, 1792, 1836],
    Fault.UNREACHABLE: [1040, 1053, 1927, 2002, 2003, 2006, 2013, 2014, 4031],
    Fault.OTHER: [1048, 1064, 1146, 1406],
}
SQLITE = {
    Fault.UNIQUE: ["CONSTRAINT_UNIQUE", "CONSTRAINT_PRIMARYKEY", "CONSTRAINT_ROWID"],
    Fault.FOREIGN_KEY: ["CONSTRAINT_FOREIGNKEY"],
    Fault.SERIALIZATION: ["BUSY_SNAPSHOT"],
    Fault.LOCK_TIMEOUT: ["BUSY", "BUSY_RECOVERY", "LOCKED", "LOCKED_SHAREDCACHE"],
    Fault.STATEMENT_TIMEOUT: ["INTERRUPT"],
    Fault.WRITE_REFUSED: ["READONLY", "READONLY_DIRECTORY"],
    Fault.UNREACHABLE: ["CANTOPEN", "CANTOPEN_ISDIR"],
    Fault.OTHER: ["ERROR", "CONSTRAINT_NOTNULL", "CONSTRAINT_CHECK", "CONSTRAINT", "FULL"],
}
RETRYABLE = {Fault.SERIALIZATION, Fault.DEADLOCK, Fault.LOCK_TIMEOUT}


def postgresql_error(code: str) -> Exception:
    error = Exception("the server's words")
    error.sqlstate = code  # type: ignore[attr-defined]
    return error


def sqlite_error(name: str) -> Exception:
    error = sqlite3.OperationalError("the library's words")
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
    return error


CASES: list[Any] = [
    *(
        pytest.param(postgresql_error(code), code, fault, id=f"postgresql-{code}")
        for fault, codes in POSTGRESQL.items()
        for code in codes
    ),
    *(
        pytest.param(Exception(number, "words"), number, fault, id=f"mariadb-{number}")
        for fault, numbers in MARIADB.items()
        for number in numbers
    ),
    *(
        pytest.param(
            sqlite_error(name), getattr(sqlite3, f"SQLITE_{name}"), fault, id=f"sqlite-{name}"
        )
        for fault, names in SQLITE.items()
        for name in names
    ),
]


@pytest.mark.parametrize(("original", "code", "fault"), CASES)
@pytest.mark.parametrize(
    "kind", [sa_exc.DBAPIError, sa_exc.OperationalError, sa_exc.IntegrityError]
)
def test_a_code_is_the_same_fault_whatever_class_it_comes_in(
    original: Exception, code: str | int, fault: Fault, kind: type[sa_exc.DBAPIError]
) -> None:
    assert error_code(original) == code
    error = kind("SELECT 1", None, original)
    assert fault_of(error) is fault
    assert is_retryable(error) is (fault in RETRYABLE)


@pytest.mark.parametrize("fault", [Fault.DEADLOCK, Fault.UNIQUE, Fault.UNREACHABLE])
def test_errors_that_wrap_another_answer_for_it(fault: Fault) -> None:
    cause = sa_exc.DBAPIError("SELECT 1", None, postgresql_error(POSTGRESQL[fault][0]))
    for wrapper in (TransactionLostError("lost"), PartialCommitError(["a"], "b")):
        assert fault_of(wrapper) is Fault.OTHER
        wrapper.__cause__ = cause
        assert fault_of(wrapper) is fault
        assert is_retryable(wrapper) is (
            isinstance(wrapper, TransactionLostError) and (fault in RETRYABLE)
        )


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (StaleDataError(), Fault.STALE),
        (PrimaryUnavailableError("x"), Fault.UNREACHABLE),
        (DatabaseUnavailableError("x"), Fault.UNREACHABLE),
        (CannotConnectError("primary", "host", "refused", OSError()), Fault.UNREACHABLE),
        (CommitOutcomeUnknownError("primary", OSError()), Fault.UNREACHABLE),
        (ReadOnlyError("x"), Fault.OTHER),
        (sa_exc.TimeoutError("x"), Fault.POOL_EXHAUSTED),
        (
            PoolExhaustedError("x", size=1, max_overflow=0, checked_out=1, timeout=1),
            Fault.POOL_EXHAUSTED,
        ),
        (sa_exc.InvalidRequestError("x"), Fault.OTHER),
        (ValueError("40001"), Fault.OTHER),
        (TimeoutError(), Fault.OTHER),
        (sa_exc.DBAPIError("SELECT 1", None, Exception()), Fault.OTHER),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_other_errors_are_told_by_their_class_and_none_may_be_retried(
    error: Exception, fault: Fault
) -> None:
    assert fault_of(error) is fault
    assert not is_retryable(error)


def test_a_lost_connection_without_a_code_is_an_unreachable_server() -> None:
    error = sa_exc.DBAPIError("SELECT 1", None, Exception(), connection_invalidated=True)
    assert fault_of(error) is Fault.UNREACHABLE
    assert not is_retryable(error)


def test_a_code_tells_more_than_the_loss_of_the_connection() -> None:
    original = postgresql_error("40P01")
    error = sa_exc.DBAPIError("SELECT 1", None, original, connection_invalidated=True)
    assert fault_of(error) is Fault.DEADLOCK


def test_a_time_limit_of_the_driver_is_a_statements_time_out() -> None:
    original = Exception()
    original.__cause__ = TimeoutError()
    assert fault_of(sa_exc.DBAPIError("SELECT 1", None, original)) is Fault.STATEMENT_TIMEOUT


def test_every_fault_has_a_case() -> None:
    covered = {case.values[2] for case in CASES}
    assert set(Fault) - covered == {Fault.STALE, Fault.POOL_EXHAUSTED}
