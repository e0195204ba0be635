"""How a session may use its database, and where connections learn of it."""

from __future__ import annotations

from enum import Enum

from sqlalchemy.engine import Connection

__all__ = ["OPTION", "Access", "access_of"]

OPTION = "hawkapi_access"
"""The execution option that carries the access to the dialect's policy."""


class Access(Enum):
    """What a session is for."""

    WRITE = "write"
    """Commits at its end; on SQLite it takes the write lock when it begins."""
    MANUAL = "manual"
    """Commits only when told to; begins without a write lock."""
    READ = "read"
    """The server refuses its writes."""

    # By identity: there is one of each. The enumeration's own is Python code, and every session
    # is looked up by its access several times.
    __hash__ = object.__hash__


def access_of(connection: Connection) -> Access:
    """Tell what a connection was checked out for.

    Args:
        connection: A connection of one of our engines.

    Returns:
        Its access; `Access.MANUAL` for one that no session of ours checked out.
    """
    return connection.get_execution_options().get(OPTION, Access.MANUAL)
