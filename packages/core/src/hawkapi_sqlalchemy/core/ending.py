"""The end of a session: committed or rolled back, its connection free, and the session sealed."""

from __future__ import annotations

import asyncio
import functools
import logging
import types
from collections.abc import Awaitable, Coroutine, Generator
from functools import partial
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IllegalStateChangeError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.errors import SessionEndedError
from hawkapi_sqlalchemy.core.session_info import (
    ACCESS,
    ASIDE,
    AUTOCOMMIT,
    CONNECTION,
    ENDING,
    FLUSHED,
    NAME,
    session_database,
)
from hawkapi_sqlalchemy.core.sessions import ENDED

__all__ = ["commit_session", "end_session", "has_ended"]

logger = logging.getLogger("hawkapi_sqlalchemy")

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


def _refuse(session: AsyncSession, name: str) -> Any:
    if name.startswith("__") or name in _STILL_ALLOWED:
        return object.__getattribute__(session, name)
    raise SessionEndedError(ENDED)


@functools.cache
def _ended_class(session_class: type[AsyncSession]) -> type[AsyncSession]:
    # An instance may only change to a class of the same layout, hence the empty slots and the
    # single base.
    namespace = {"__slots__": (), "__getattribute__": _refuse}
    return type(f"Ended{session_class.__name__}", (session_class,), namespace)


def has_ended(session: AsyncSession) -> bool:
    """Tell whether `end_session` has ended a session."""
    return type(session).__getattribute__ is _refuse


async def commit_session(session: AsyncSession) -> None:
    """Commit, give the connection back, and seal the session.

    When the COMMIT fails, the session is still open: `end_session` rolls it back.

    Args:
        session: A session of ours.
    """
    await greenlet_spawn(_commit_and_close, session.sync_session)
    _seal(session)


def _commit_and_close(session: Session) -> None:
    # Both in one greenlet, which is what an `await` of each would cost again.
    session.commit()
    session.close()


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
        # Nothing was begun, so closing does no I/O and needs no greenlet, task or shield.
        session.sync_session.close()
        _seal(session)
        return
    info = session.sync_session.info
    info[ENDING] = True
    if info.get(AUTOCOMMIT):
        closing = _close_at_once(session)
        if closing is None:
            _seal(session)
            return
    else:
        closing = _close(session)
    # Begun at once: where there is nothing to roll back, it is done when it has begun.
    loop = asyncio.get_running_loop()
    task = asyncio.Task(_release(session, closing), loop=loop, eager_start=True)
    if task.done():
        return
    _releases.add(task)
    task.add_done_callback(_releases.discard)
    await asyncio.shield(task)


def _close_at_once(session: AsyncSession) -> Awaitable[None] | None:
    """Close a session that has nothing to roll back.

    Its connection goes back without a word to the server. Where that is all, neither a task nor a
    time limit is needed, which would cost more than the rest.

    Returns:
        What is left to do; `None` when the session is closed.
    """
    closing = greenlet_spawn(session.sync_session.close)
    try:
        waits_for = closing.send(None)
    except StopIteration:
        return None
    except IllegalStateChangeError:
        return _close(session)
    except Exception as error:  # noqa: BLE001  # for `_release` to see
        return _fail(error)
    # A connection that is not as the pool lent it is closed.
    return _go_on(closing, waits_for)


async def _fail(error: Exception) -> None:
    raise error


@types.coroutine
def _go_on(begun: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Do the rest of a coroutine that has begun, and waits for something."""
    while True:
        try:
            answer = yield waits_for
        except BaseException as error:  # noqa: BLE001  # whatever it is, the coroutine decides
            resume = partial(begun.throw, error)
        else:
            resume = partial(begun.send, answer)
        try:
            waits_for = resume()
        except StopIteration:
            return


async def _release(session: AsyncSession, closing: Awaitable[None]) -> None:
    try:
        async with asyncio.timeout(_RELEASE_TIMEOUT):
            await closing
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
    # A close that failed on the way has forgotten its connections without giving them back.
    aside: list[Connection] = session.info.get(ASIDE, [])
    for connection in (session.info.get(CONNECTION), *aside):
        if connection is not None and not connection.closed:
            connection.invalidate()
            connection.close()


def _seal(session: AsyncSession) -> None:
    session.__class__ = _ended_class(type(session))


def _warn_of_uncommitted(session: AsyncSession) -> None:
    info = session.info
    if info.get(ACCESS) is Access.MANUAL and info.get(FLUSHED):
        logger.warning(
            "database %r: a session opened with commit=False ended with writes that nobody "
            "committed; they are rolled back",
            info.get(NAME),
        )
