"""How a session may use its database, and where connections learn of it."""

from __future__ import annotations

from enum import Enum

from sqlalchemy.engine import Connection

from hawkapi_sqlalchemy.core.errors import ConfigurationError

__all__ = ["OPTION", "Access", "access_for", "access_of"]

OPTION = "hawkapi_access"
"""The execution option that carries the access to the dialect's policy."""


class Access(Enum):
    """What a session is for.

    Attributes:
        is_read_only: Whether the server refuses its writes.
    """

    WRITE = ("write", False)
    """Commits at its end; on SQLite it takes the write lock when it begins."""
    MANUAL = ("manual", False)
    """Commits only when told to; begins without a write lock."""
    READ = ("read", True)
    """The server refuses its writes. Each statement stands for itself, where that can be had."""
    SNAPSHOT = ("snapshot", True)
    """The server refuses its writes, and all its statements see one state of the data."""

    def __init__(self, label: str, is_read_only: bool) -> None:  # noqa: FBT001  # by position: the tuples above
        self.label = label
        self.is_read_only = is_read_only

    # Members are single: their identity serves, and costs no call in each look-up of a request.
    __hash__ = object.__hash__


def access_of(connection: Connection) -> Access:
    """Tell what a connection was checked out for.

    Args:
        connection: A connection of one of our engines.

    Returns:
        Its access; `Access.MANUAL` for one that no session of ours checked out.
    """
    return connection.get_execution_options().get(OPTION, Access.MANUAL)


def access_for(*, commit: bool, snapshot: bool) -> Access:
    """Choose the access that a caller describes.

    Args:
        commit: The session commits at its end.
        snapshot: All its statements see one state of the data.

    Raises:
        ConfigurationError: Both; a snapshot has nothing to commit.
    """
    if snapshot:
        if commit:
            raise ConfigurationError(
                "a snapshot is read-only and has nothing to commit; use commit=False, snapshot=True"
            )
        return Access.SNAPSHOT
    return Access.WRITE if commit else Access.MANUAL
