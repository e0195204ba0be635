"""Statements past SQLAlchemy's connection."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

__all__ = ["execute_directly"]


def execute_directly(connection: Connection, statement: str) -> Sequence[Any]:
    """Execute a statement on the driver's connection, and answer its rows.

    SQLAlchemy's would begin a transaction: in one, SQLite's pragmas do nothing, and
    Alembic would take it for the caller's and never commit. Nor do listeners hear of
    it.

    Args:
        connection: The connection.
        statement: The statement.
    """
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
    finally:
        cursor.close()
