"""How long a migration waits for locks, and how long its statements run."""

import math
from typing import Any

from sqlalchemy import Connection, event

from hawkapi_sqlalchemy.alembic.directly import execute_directly
from hawkapi_sqlalchemy.alembic.statements import runs_concurrently

__all__ = ["set_time_limits"]


def set_time_limits(
    connection: Connection, *, lock_timeout: float | None, statement_timeout: float | None
) -> None:
    """Set limits for all that follows on a connection.

    They are settings of the session, committed at once, so that a transaction
    that fails does not undo them.

    Args:
        connection: A connection that is not in a transaction, and is closed after
            the migration.
        lock_timeout: Seconds that a statement waits for a lock.
        statement_timeout: Seconds that a statement runs. SQLite knows no such
            limit; MySQL limits SELECT alone.
    """
    settings: list[str] = []
    match connection.dialect.name:
        case "postgresql":
            # https://www.postgresql.org/docs/current/runtime-config-client.html; 0 would be none.
            if lock_timeout is not None:
                settings.append(f"SET lock_timeout = {_milliseconds(lock_timeout)}")
                _wait_for_old_transactions(connection, settings[-1])
            if statement_timeout is not None:
                settings.append(f"SET statement_timeout = {_milliseconds(statement_timeout)}")
        case "mysql" | "mariadb":
            if lock_timeout is not None:
                # Of tables against DDL, and of rows; in whole seconds.
                seconds = max(1, math.ceil(lock_timeout))
                settings.append(f"SET SESSION lock_wait_timeout = {seconds}")
                settings.append(f"SET SESSION innodb_lock_wait_timeout = {seconds}")
            if statement_timeout is not None:
                settings.append(_mysql_statement_limit(connection, statement_timeout))
        case "sqlite":
            if lock_timeout is not None:
                execute_directly(connection, f"PRAGMA busy_timeout = {_milliseconds(lock_timeout)}")
        case _:
            pass
    for each in settings:
        connection.exec_driver_sql(each)
    if settings:
        connection.commit()


def _wait_for_old_transactions(connection: Connection, limit: str) -> None:
    """Lift the limit for CREATE INDEX CONCURRENTLY and its like.

    They wait for each older transaction as for a lock, and hold nobody up meanwhile.
    """

    def before(_: Any, __: Any, statement: str, *___: Any) -> None:
        if runs_concurrently(statement):
            execute_directly(connection, "SET lock_timeout = 0")

    def after(_: Any, __: Any, statement: str, *___: Any) -> None:
        if runs_concurrently(statement):
            execute_directly(connection, limit)

    event.listen(connection, "before_cursor_execute", before)
    event.listen(connection, "after_cursor_execute", after)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _mysql_statement_limit(connection: Connection, seconds: float) -> str:
    # https://mariadb.com/kb/en/aborting-statements/ and
    # https://dev.mysql.com/doc/refman/8.4/en/server-system-variables.html#sysvar_max_execution_time
    if getattr(connection.dialect, "is_mariadb", False):
        return f"SET SESSION max_statement_time = {max(0.001, seconds):g}"
    return f"SET SESSION max_execution_time = {_milliseconds(seconds)}"
