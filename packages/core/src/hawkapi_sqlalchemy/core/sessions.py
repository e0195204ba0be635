"""Sessions that end: once closed they refuse to work, and say what to use instead."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import types
from collections.abc import Awaitable, Coroutine, Generator, Mapping
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IllegalStateChangeError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import greenlet_spawn

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.after_commit import has_callbacks
from hawkapi_sqlalchemy.core.errors import SessionEndedError, TransactionRequiredError

__all__ = [
    "DatabaseSession",
    "ManualSession",
    "autocommits",
    "commit_session",
    "end_session",
    "has_begun",
    "has_ended",
    "is_ending",
    "maker_arguments",
    "may_begin_again",
    "only_reads",
    "session_access",
    "session_class",
    "session_database",
    "session_info",
    "set_autocommit",
    "watch_manual",
]

logger = logging.getLogger("hawkapi_sqlalchemy")

_NAME = "hawkapi_database"
_ACCESS = "hawkapi_access"
_AUTOCOMMIT = "hawkapi_autocommit"
_FLUSHED = "hawkapi_flushed"
_CONNECTION = "hawkapi_connection"
_ENDING = "hawkapi_ending"

_RELEASE_TIMEOUT = 5.0
"""Seconds that a rollback may take before the connection is given up instead."""

_INVALIDATE_TIMEOUT = 1.0
"""Seconds that giving a connection up may take before it is dropped without a farewell."""
_BUSY_POLL = 0.01
"""Seconds between two looks at a session that another task is still using."""

_ENDED = (
    "this session has ended with the request or block that it belonged to, and nobody would commit "
    "what it did now. In a background task, a stream or a WebSocket open one of its own: `async "
    "with db.session() as session`, with `db = resolve_database(app)`"
)

_QUERY = re.compile(r"\s*(SELECT|WITH|VALUES|TABLE|SHOW)\b", re.IGNORECASE)

_STILL_ALLOWED = frozenset({"close", "info", "sync_session", "sync_session_class"})
"""What an ended session still answers: a second close does no harm."""

_releases: set[asyncio.Task[None]] = set()
"""Releases under way: a task that nobody holds may be collected before it is done."""


class DatabaseSession(Session):
    """The session below ours: it remembers its connection, and survives a dead one.

    A connection that is lost under the first statement, before anything was done on it, is no
    reason to fail: the statement is run again on another. Only what reads is, and only the first:
    whatever else the transaction did is gone with the connection. A session that holds objects or
    callbacks already has done something, and is not run again either.
    """

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement; see SQLAlchemy's `Session.execute`."""
        if self.in_transaction():
            return super().execute(statement, *args, **kwargs)
        try:
            return super().execute(statement, *args, **kwargs)
        except DBAPIError as error:
            if not self._may_repeat(statement, error):
                raise
        self.rollback()
        return super().execute(statement, *args, **kwargs)

    def scalar(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement for one value; see SQLAlchemy's `Session.scalar`."""
        if self.in_transaction():
            return super().scalar(statement, *args, **kwargs)
        try:
            return super().scalar(statement, *args, **kwargs)
        except DBAPIError as error:
            if not self._may_repeat(statement, error):
                raise
        self.rollback()
        return super().scalar(statement, *args, **kwargs)

    def begin_nested(self) -> SessionTransaction:
        """Begin a savepoint; see SQLAlchemy's `Session.begin_nested`.

        Raises:
            TransactionRequiredError: The session's statements each stand for themselves.
        """
        if self.info.get(_AUTOCOMMIT):
            raise TransactionRequiredError.of(self.info[_NAME], "a savepoint")
        return super().begin_nested()

    def _may_repeat(self, statement: Any, error: DBAPIError) -> bool:
        return (
            error.connection_invalidated and only_reads(self, statement) and may_begin_again(self)
        )


def only_reads(session: Session, statement: Any) -> bool:
    """Tell whether a statement that was lost on its way may be sent again.

    Args:
        session: The session below ours.
        statement: The statement.
    """
    info = session.info
    access: Access = info.get(_ACCESS, Access.MANUAL)
    return getattr(statement, "is_select", False) or (
        # Nothing of a transaction's is stored. In AUTOCOMMIT a NOTIFY would be sent twice.
        access.is_read_only and (not info.get(_AUTOCOMMIT) or _is_query(statement))
    )


def may_begin_again(session: Session) -> bool:
    """Tell whether a session whose first statement has failed may be rolled back, and go on.

    The rollback would expire what an earlier transaction left loaded, and drop the callbacks that
    wait for this one's COMMIT.

    Args:
        session: The session below ours.
    """
    return not (_ENDING in session.info or session.identity_map or has_callbacks(session))


def _is_query(statement: Any) -> bool:
    return getattr(statement, "is_text", False) and bool(_QUERY.match(statement.text))


def is_ending(session: Session) -> bool:
    """Tell whether `end_session` is ending a session."""
    return _ENDING in session.info


def has_begun(session: Session) -> bool:
    """Tell whether a session has a transaction open on a connection."""
    connection: Connection | None = session.info.get(_CONNECTION)
    return connection is not None and not connection.closed and connection.in_transaction()


def autocommits(session: Session) -> bool:
    """Tell whether a session's statements each stand for themselves."""
    return bool(session.info.get(_AUTOCOMMIT))


def set_autocommit(session: Session, *, autocommit: bool) -> None:
    """Say whether a session's statements each stand for themselves, once that is known."""
    session.info[_AUTOCOMMIT] = autocommit


@event.listens_for(DatabaseSession, "after_begin")
def _remember_connection(session: Session, _: object, connection: Connection) -> None:
    info = session.info
    if _ENDING in info:
        # Another task of the request asked for it, and nobody would give it back.
        connection.close()
        raise SessionEndedError(_ENDED)
    info[_CONNECTION] = connection


class ManualSession(DatabaseSession):
    """One that nobody commits but its owner: it remembers whether that was forgotten."""

    def commit(self) -> None:
        """Commit; see SQLAlchemy's `Session.commit`."""
        try:
            super().commit()
        finally:
            # Who tried has not forgotten it, and what came of it, an error tells.
            self.info.pop(_FLUSHED, None)


@event.listens_for(ManualSession, "after_flush")
def _note_flush(session: Session, _: object) -> None:
    session.info[_FLUSHED] = True


@event.listens_for(ManualSession, "after_commit")
def _forget_flush(session: Session) -> None:
    # SQLAlchemy reports the release of a savepoint through the same event.
    if session.get_nested_transaction() is None:
        session.info.pop(_FLUSHED, None)


@event.listens_for(ManualSession, "after_soft_rollback")
def _forget_flush_of_rollback(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.info.pop(_FLUSHED, None)


def watch_manual(session: AsyncSession) -> None:
    """Have a session of the application's own class remember the same as a `ManualSession`.

    Args:
        session: A session that nobody commits but its owner.
    """
    if not isinstance(session.sync_session, ManualSession):
        event.listen(session.sync_session, "after_flush", _note_flush)
        event.listen(session.sync_session, "after_commit", _forget_flush)
        event.listen(session.sync_session, "after_soft_rollback", _forget_flush_of_rollback)


def _refuse(session: AsyncSession, name: str) -> Any:
    if name.startswith("__") or name in _STILL_ALLOWED:
        return object.__getattribute__(session, name)
    raise SessionEndedError(_ENDED)


@functools.cache
def _ended_class(session_class: type[AsyncSession]) -> type[AsyncSession]:
    # An instance may only change to a class of the same layout, hence the empty slots and the
    # single base.
    namespace = {"__slots__": (), "__getattribute__": _refuse}
    return type(f"Ended{session_class.__name__}", (session_class,), namespace)


def has_ended(session: AsyncSession) -> bool:
    """Tell whether `end_session` has ended a session."""
    return type(session).__getattribute__ is _refuse


def session_info(name: str, access: Access, *, autocommit: bool) -> dict[str, Any]:
    """Write down what a session is for.

    Args:
        name: The database's name.
        access: How it may be used.
        autocommit: Whether its statements each stand for themselves.

    Returns:
        What its `info` must hold.
    """
    return {_NAME: name, _ACCESS: access, _AUTOCOMMIT: autocommit}


def maker_arguments(
    given: Mapping[str, Any], sync_session_class: type[Session], info: Mapping[str, Any]
) -> dict[str, Any]:
    """Put the arguments of an `async_sessionmaker` together; the bind is left to the caller.

    Args:
        given: The application's, which win over ours.
        sync_session_class: The class of the session below, unless the application has one.
        info: What the session's `info` must hold.
    """
    ours: dict[str, Any] = {
        "sync_session_class": sync_session_class,
        "expire_on_commit": False,
        # A session that is used after its end raises, where SQLAlchemy's default would begin a
        # transaction that nobody commits.
        "close_resets_only": False,
    }
    arguments = ours | dict(given)
    arguments["info"] = {**arguments.get("info", {}), **info}
    return arguments


def session_class(access: Access) -> type[DatabaseSession]:
    """Choose the class of the session below ours."""
    return ManualSession if access is Access.MANUAL else DatabaseSession


def session_database(session: AsyncSession) -> str:
    """Name the database that a session of ours works on."""
    return session.info.get(_NAME, "unknown")


def session_access(session: AsyncSession) -> Access:
    """Tell how a session of ours may be used."""
    return session.info.get(_ACCESS, Access.MANUAL)


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
    info[_ENDING] = True
    if info.get(_AUTOCOMMIT):
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
