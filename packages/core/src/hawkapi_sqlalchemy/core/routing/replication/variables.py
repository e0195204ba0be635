"""Reading system variables of MariaDB and MySQL."""

from __future__ import annotations

from typing import Any

__all__ = ["is_on", "scalar"]


def is_on(value: object) -> bool:
    """Read a system variable that is a switch.

    Args:
        value: A number, or a word where the variable knows more than two.
    """
    return str(value).upper() not in ("0", "OFF")


async def scalar(driver_connection: Any, statement: str) -> Any:
    """Ask aiomysql's connection for one value; nothing is left unread.

    Args:
        driver_connection: The connection.
        statement: A query of one row and one column.
    """
    import aiomysql  # pyright: ignore[reportMissingTypeStubs]  # it ships none

    # The connection's own class of cursors may answer anything else.
    async with driver_connection.cursor(aiomysql.Cursor) as cursor:
        await cursor.execute(statement)
        (value,) = await cursor.fetchone()
    return value
