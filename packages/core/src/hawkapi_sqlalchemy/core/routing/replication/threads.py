"""What the rows of `SHOW REPLICA STATUS` mean: one for each server that a replica follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from hawkapi_sqlalchemy.core.faults import error_code

__all__ = ["FOLLOWS_NONE", "SQL_STOPPED", "Columns", "Threads", "ask_threads"]

FOLLOWS_NONE = "it follows no server: its role has changed"
SQL_STOPPED = "its SQL thread is stopped"
_ACCESS_DENIED = 1227


@dataclass(frozen=True, slots=True)
class Columns:
    """How a kind of server names what is read.

    Args:
        io: Whether the primary's log is received: `Yes`, `No`, `Connecting`.
        sql: Whether it is replayed: `Yes`, `No`.
        seconds: The lag in seconds, NULL where it is unknown.
    """

    io: str
    sql: str
    seconds: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """What a replica's threads do.

    Args:
        problem: What keeps them from catching up, unless it is the primary's absence.
        is_astray: Whether they follow nobody.
        receiving: Whether they are connected to the primary.
        seconds: The lag, the longest if several servers are followed.
    """

    problem: str | None = None
    is_astray: bool = False
    receiving: bool | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], columns: Columns) -> Threads:
        """Read a server's answer.

        Args:
            rows: One for each server that is followed.
            columns: The names of what is read.
        """
        rows = list(rows)
        if not rows:
            return cls(problem=FOLLOWS_NONE, is_astray=True, receiving=False)
        problem = None
        if any(row[columns.sql] != "Yes" for row in rows):
            problem = SQL_STOPPED
        elif any(row[columns.io] == "No" for row in rows):
            problem = "its I/O thread is stopped"
        lags: list[Any] = [row[columns.seconds] for row in rows]
        return cls(
            problem=problem,
            receiving=all(row[columns.io] == "Yes" for row in rows),
            seconds=None if None in lags else float(max(lags)),
        )


async def ask_threads(
    connection: AsyncConnection, statement: str, columns: Columns
) -> Threads | None:
    """Ask a replica for its threads.

    Args:
        connection: A connection to it.
        statement: `SHOW REPLICA STATUS`, as this kind of server has it.
        columns: The names of what is read.

    Returns:
        What they do; `None` if the account may not know.
    """
    try:
        result = await connection.exec_driver_sql(statement)
    except DBAPIError as error:
        if error.orig is None or error_code(error.orig) != _ACCESS_DENIED:
            raise
        return None
    return Threads.of([dict(row) for row in result.mappings()], columns)
