"""What a session of ours carries in its `info`."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from hawkapi_sqlalchemy.core.access import Access

__all__ = [
    "ACCESS",
    "ASIDE",
    "AUTOCOMMIT",
    "CONNECTION",
    "ENDING",
    "FLUSHED",
    "NAME",
    "autocommits",
    "has_begun",
    "is_ending",
    "session_access",
    "session_database",
    "session_info",
    "set_autocommit",
]

NAME = "hawkapi_database"
ACCESS = "hawkapi_access"
AUTOCOMMIT = "hawkapi_autocommit"
FLUSHED = "hawkapi_flushed"
CONNECTION = "hawkapi_connection"
ASIDE = "hawkapi_aside"
ENDING = "hawkapi_ending"


def session_info(name: str, access: Access, *, autocommit: bool) -> dict[str, Any]:
    """Write down what a session is for.

    Args:
        name: The database's name.
        access: How it may be used.
        autocommit: Whether its statements each stand for themselves.

    Returns:
        What its `info` must hold.
    """
    return {NAME: name, ACCESS: access, AUTOCOMMIT: autocommit}


def session_database(session: AsyncSession) -> str:
    """Name the database that a session of ours works on."""
    return session.info.get(NAME, "unknown")


def session_access(session: AsyncSession) -> Access:
    """Tell how a session of ours may be used."""
    return session.info.get(ACCESS, Access.MANUAL)


def has_begun(session: Session) -> bool:
    """Tell whether a session has a transaction open on a connection."""
    connection: Connection | None = session.info.get(CONNECTION)
    return connection is not None and not connection.closed and connection.in_transaction()


def is_ending(session: Session) -> bool:
    """Tell whether `end_session` is ending a session."""
    return ENDING in session.info


def autocommits(session: Session) -> bool:
    """Tell whether a session's statements each stand for themselves."""
    return bool(session.info.get(AUTOCOMMIT))


def set_autocommit(session: Session, *, autocommit: bool) -> None:
    """Say whether a session's statements each stand for themselves, once that is known."""
    session.info[AUTOCOMMIT] = autocommit
