"""The classes of our sessions, and what a statement that was lost on its way may do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import TextClause, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.after_commit import has_callbacks
from hawkapi_sqlalchemy.core.errors import SessionEndedError, TransactionRequiredError
from hawkapi_sqlalchemy.core.put_off import note_session
from hawkapi_sqlalchemy.core.session_info import (
    ACCESS,
    AUTOCOMMIT,
    CONNECTION,
    ENDING,
    FLUSHED,
    NAME,
)

__all__ = [
    "ENDED",
    "DatabaseSession",
    "ManualSession",
    "maker_arguments",
    "may_begin_again",
    "only_reads",
    "session_class",
    "watch_manual",
]

ENDED = (
    "this session has ended with the request or block that it belonged to, and nobody would commit "
    "what it did now. In a background task, a stream or a WebSocket open one of its own: `async "
    "with db.session() as session`, with `db = resolve_database(app)`"
)

_QUERY = re.compile(r"\s*(SELECT|WITH|VALUES|TABLE|SHOW)\b", re.IGNORECASE)


class DatabaseSession(Session):
    """The session below ours: it remembers its connection, and survives a dead one.

    A connection that is lost under the first statement, before anything was done on it, is no
    reason to fail: the statement is run again on another. Only what reads is, and only the first:
    whatever else the transaction did is gone with the connection. A session that holds objects or
    callbacks already has done something, and is not run again either.
    """

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement; see SQLAlchemy's `Session.execute`."""
        return self._survive(super().execute, statement, *args, **kwargs)

    def scalar(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement for one value; see SQLAlchemy's `Session.scalar`."""
        return self._survive(super().scalar, statement, *args, **kwargs)

    def scalars(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement for one value a row; see SQLAlchemy's `Session.scalars`."""
        # It does not go through `execute`.
        return self._survive(super().scalars, statement, *args, **kwargs)

    def begin_nested(self) -> SessionTransaction:
        """Begin a savepoint; see SQLAlchemy's `Session.begin_nested`.

        Raises:
            TransactionRequiredError: The session's statements each stand for themselves.
        """
        if self.info.get(AUTOCOMMIT):
            raise TransactionRequiredError.of(self.info[NAME], "a savepoint")
        return super().begin_nested()

    def _survive(self, run: Callable[..., Any], statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a statement, and once more if its connection was lost before anything was done.

        Args:
            run: The method that runs it.
            statement: The statement.
            *args: Further arguments of the method.
            **kwargs: Likewise, by name.
        """
        if self.in_transaction():
            return run(statement, *args, **kwargs)
        try:
            return run(statement, *args, **kwargs)
        except DBAPIError as error:
            if not self._may_repeat(statement, error):
                raise
        self.rollback()
        return run(statement, *args, **kwargs)

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
    access: Access = info.get(ACCESS, Access.MANUAL)
    return getattr(statement, "is_select", False) or (
        # Nothing of a transaction's is stored. In AUTOCOMMIT a NOTIFY would be sent twice.
        access.is_read_only and (not info.get(AUTOCOMMIT) or _is_query(statement))
    )


def may_begin_again(session: Session) -> bool:
    """Tell whether a session whose first statement has failed may be rolled back, and go on.

    The rollback would expire what an earlier transaction left loaded, and drop the callbacks that
    wait for this one's COMMIT.

    Args:
        session: The session below ours.
    """
    return not (ENDING in session.info or session.identity_map or has_callbacks(session))


def _is_query(statement: Any) -> bool:
    return isinstance(statement, TextClause) and bool(_QUERY.match(statement.text))


@event.listens_for(DatabaseSession, "after_begin")
def _remember_connection(session: Session, _: object, connection: Connection) -> None:
    info = session.info
    if ENDING in info:
        # Another task of the request asked for it, and nobody would give it back.
        connection.close()
        raise SessionEndedError(ENDED)
    info[CONNECTION] = connection
    note_session(connection, session)


class ManualSession(DatabaseSession):
    """One that nobody commits but its owner: it remembers whether that was forgotten."""

    def commit(self) -> None:
        """Commit; see SQLAlchemy's `Session.commit`."""
        try:
            super().commit()
        finally:
            # Who tried has not forgotten it, and what came of it, an error tells.
            self.info.pop(FLUSHED, None)


@event.listens_for(ManualSession, "after_flush")
def _note_flush(session: Session, _: object) -> None:
    session.info[FLUSHED] = True


@event.listens_for(ManualSession, "after_commit")
def _forget_flush(session: Session) -> None:
    # SQLAlchemy reports the release of a savepoint through the same event.
    if session.get_nested_transaction() is None:
        session.info.pop(FLUSHED, None)


@event.listens_for(ManualSession, "after_soft_rollback")
def _forget_flush_of_rollback(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:
        session.info.pop(FLUSHED, None)


def watch_manual(session: AsyncSession) -> None:
    """Have a session of the application's own class remember the same as a `ManualSession`.

    Args:
        session: A session that nobody commits but its owner.
    """
    if not isinstance(session.sync_session, ManualSession):
        event.listen(session.sync_session, "after_flush", _note_flush)
        event.listen(session.sync_session, "after_commit", _forget_flush)
        event.listen(session.sync_session, "after_soft_rollback", _forget_flush_of_rollback)


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
