"""Sessions that end: once closed they refuse to work, and say what to use instead."""

from __future__ import annotations

import asyncio
import functools
import logging
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IllegalStateChangeError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.errors import SessionEndedError

__all__ = [
    "DatabaseSession",
    "end_session",
    "has_ended",
    "mark_session",
    "session_access",
    "session_database",
]

logger = logging.getLogger("hawkapi_sqlalchemy")

_NAME = "hawkapi_database"
_ACCESS = "hawkapi_access"
_FLUSHED = "hawkapi_flushed"
_CONNECTION = "hawkapi_connection"

_RELEASE_TIMEOUT = 5.0
"""Seconds that a rollback may take before the connection is given up instead."""

_INVALIDATE_TIMEOUT = 1.0
"""Seconds that giving a connection up may take before it is dropped without a farewell."""
_BUSY_POLL = 0.01
"""Seconds between two looks at a session that another task is still using."""

_STILL_ALLOWED = frozenset({"close", "info", "sync_session", "sync_session_class"})
"""What an ended session still answers: a second close does no harm."""

_releases: set[asyncio.Task[None]] = set()
"""Releases under way: a task that nobody holds may be collected before it is done."""


class DatabaseSession(Session):
    """The session below ours: it remembers the connection of its transaction."""


@event.listens_for(DatabaseSession, "after_begin")
def _remember_connection(session: Session, _: object, connection: Connection) -> None:
    session.info[_CONNECTION] = connection


def _refuse(session: AsyncSession, name: str) -> Any:
    if name.startswith("__") or name in _STILL_ALLOWED:
        return object.__getattribute__(session, name)
    raise SessionEndedError(
        "this session has ended with the request or block that it belonged to, and nobody would "
        "commit what it did now. In a background task, a stream or a WebSocket open one of its "
        "own: `async with db.session() as session`, with `db = resolve_database(app)`"
    )


@functools.cache
def _ended_class(session_class: type[AsyncSession]) -> type[AsyncSession]:
    # An instance may only change to a class of the same layout, hence the empty slots and the
    # single base.
    namespace = {"__slots__": (), "__getattribute__": _refuse}
    return type(f"Ended{session_class.__name__}", (session_class,), namespace)


def has_ended(session: AsyncSession) -> bool:
    """Tell whether `end_session` has ended a session."""
    return type(session).__getattribute__ is _refuse


def mark_session(session: AsyncSession, name: str, access: Access) -> AsyncSession:
    """Write into a new session what it is for.

    Args:
        session: The session.
        name: The database's name.
        access: How it may be used.

    Returns:
        The same session.
    """
    info = session.info
    info[_NAME] = name
    info[_ACCESS] = access
    if access is Access.MANUAL:
        event.listen(session.sync_session, "after_flush", _note_flush)
        event.listen(session.sync_session, "after_commit", _forget_flush)
    return session


def _note_flush(session: Session, _: object) -> None:
    session.info[_FLUSHED] = True


def _forget_flush(session: Session) -> None:
    # SQLAlchemy reports the release of a savepoint through the same event.
    if session.get_nested_transaction() is None:
        session.info.pop(_FLUSHED, None)


def session_database(session: AsyncSession) -> str:
    """Name the database that a session of ours works on."""
    return session.info.get(_NAME, "unknown")


def session_access(session: AsyncSession) -> Access:
    """Tell how a session of ours may be used."""
    return session.info.get(_ACCESS, Access.MANUAL)


async def end_session(session: AsyncSession) -> None:
    """Roll back what is open, give the connection back, and seal the session.

    Runs to its end also when the caller is cancelled, so that the connection is free when the
    next one needs it. If the server does not answer the rollback within five seconds, the
    connection is closed instead: the server then rolls back by itself. Ending twice does nothing.

    Args:
        session: A session of ours.
    """
    if has_ended(session):
        return
    _warn_of_uncommitted(session)
    if not session.in_transaction():
        # Nothing was begun, so closing does no I/O and needs neither task nor shield.
        await session.close()
        _seal(session)
        return
    task = asyncio.create_task(_release(session))
    _releases.add(task)
    task.add_done_callback(_releases.discard)
    await asyncio.shield(task)


async def _release(session: AsyncSession) -> None:
    try:
        async with asyncio.timeout(_RELEASE_TIMEOUT):
            await _close(session)
    except Exception as error:  # noqa: BLE001  # whatever it was, the connection must not stay
        # The connection is gone or hangs; what it had open, the server rolls back.
        logger.warning(
            "database %r: rollback failed, the connection is given up: %s",
            session_database(session),
            type(error).__name__,
        )
        await _invalidate(session)
    finally:
        _seal(session)


async def _close(session: AsyncSession) -> None:
    while True:
        try:
            await session.close()
        except IllegalStateChangeError:
            # Another task is still inside the session; it may end once that has come back.
            await asyncio.sleep(_BUSY_POLL)
        else:
            return


async def _invalidate(session: AsyncSession) -> None:
    # The second finds what the first has lost sight of; it is tried also when the first fails.
    for give_up in (session.invalidate, partial(session.run_sync, _give_up_connection)):
        try:
            # Drivers first try a farewell; SQLite's waits as long as its thread does, for a lock.
            async with asyncio.timeout(_INVALIDATE_TIMEOUT):
                await give_up()
        except Exception as error:  # noqa: BLE001  # nothing else is left to try
            logger.warning(
                "database %r: giving a connection up failed: %s",
                session_database(session),
                type(error).__name__,
            )


def _give_up_connection(session: Session) -> None:
    # A close that failed on the way has forgotten its connection without giving it back.
    connection: Connection | None = session.info.get(_CONNECTION)
    if connection is not None and not connection.closed:
        connection.invalidate()
        connection.close()


def _seal(session: AsyncSession) -> None:
    session.__class__ = _ended_class(type(session))


def _warn_of_uncommitted(session: AsyncSession) -> None:
    info = session.info
    if info.get(_ACCESS) is Access.MANUAL and info.get(_FLUSHED):
        logger.warning(
            "database %r: a session opened with commit=False ended with writes that nobody "
            "committed; they are rolled back",
            info.get(_NAME),
        )
