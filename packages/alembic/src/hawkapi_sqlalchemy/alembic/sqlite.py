"""SQLite: migrations in one transaction, and foreign keys that survive them."""

import asyncio
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from hawkapi_sqlalchemy.alembic.directly import execute_directly
from hawkapi_sqlalchemy.alembic.errors import ForeignKeyViolationError, MigrationError

type Violations = Counter[tuple[str, str]]


EXPLICIT_DRIVERS = {"pysqlite", "aiosqlite"}
"""Drivers that leave transactions to us when connected with `isolation_level=None`."""


async def connect_aiosqlite(*arguments: Any, **options: Any) -> Any:
    """Open a connection of aiosqlite, and see its thread end if that fails.

    The thread tells the event loop of its end, and complains aloud if the loop is
    closed by then, as it is soon after a database that cannot be opened.
    """
    import aiosqlite

    connection = aiosqlite.connect(*arguments, **options)
    # As SQLAlchemy has it, which starts it in the same way.
    thread = connection._thread  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    thread.daemon = True
    try:
        return await connection
    except BaseException:
        await asyncio.shield(asyncio.to_thread(thread.join))
        raise


def begin_explicitly(engine: Engine, statement: str) -> None:
    """Make transactions of `engine` hold DDL too, so that a failed migration leaves nothing.

    The driver by itself begins a transaction at the first INSERT, UPDATE or
    DELETE: the tables a migration made before it failed would stay. The engine
    connects with `isolation_level=None`.

    Args:
        engine: The engine.
        statement: How a transaction begins.
    """

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # In Alembic's autocommit_block there must be no transaction: VACUUM.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(statement)

    del begin


@contextmanager
def foreign_keys_off(connection: Connection) -> Generator[None]:
    """Switch foreign keys off on a SQLite connection, and back as they were.

    Batch mode replaces a table by a copy and drops the original. With foreign
    keys on, that deletes every row that refers to it with ON DELETE CASCADE.

    Raises:
        MigrationError: They are on, and the connection is in a transaction, in
            which SQLite does not let them be switched.
    """
    was_on = execute_directly(connection, "PRAGMA foreign_keys")[0][0] == 1
    if not was_on:
        yield
        return
    if connection.in_transaction():
        raise MigrationError(
            "the connection given for the migration is in a transaction with SQLite's foreign "
            "keys on, where changing a table would delete the rows that refer to it; give it "
            "before its transaction begins, or after PRAGMA foreign_keys=OFF"
        )
    execute_directly(connection, "PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        # A failed migration may have left its transaction open.
        connection.rollback()
        execute_directly(connection, "PRAGMA foreign_keys=ON")


def violations(connection: Connection) -> Violations | None:
    """Count the rows that refer to missing rows, by (table, table referred to).

    Returns:
        `None` where SQLite cannot tell: a foreign key refers to a column that is not
        unique (https://www.sqlite.org/foreignkeys.html#fk_indexes).
    """
    try:
        rows = execute_directly(connection, "PRAGMA foreign_key_check")
    except connection.dialect.loaded_dbapi.Error as error:
        if "foreign key mismatch" not in str(error):
            raise
        return None
    return Counter((row[0], row[2]) for row in rows)


def check_foreign_keys(connection: Connection, before: Violations | None) -> None:
    """Compare with what was wrong before the migration, where that can be told.

    Raises:
        ForeignKeyViolationError: There are more such rows than before.
    """
    after = violations(connection)
    if before is None or after is None:
        return
    if added := after - before:
        raise ForeignKeyViolationError(added)
