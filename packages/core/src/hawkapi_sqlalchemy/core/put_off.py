"""Cancellations that come when a COMMIT has held: what follows the COMMIT is done first."""

from __future__ import annotations

import asyncio
import weakref

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session, SessionTransaction

__all__ = ["note_session", "put_off"]

_SESSION = "hawkapi_session"
"""An attribute of SQLAlchemy's `Connection`, which is made anew at each checkout."""


def note_session(connection: Connection, session: Session) -> None:
    """Remember which session has begun a transaction on a connection.

    Args:
        connection: The connection.
        session: The session.
    """
    vars(connection)[_SESSION] = weakref.ref(session)


def put_off(error: asyncio.CancelledError, connection: Connection) -> bool:
    """Have a cancellation raised when the session has done what follows its COMMIT.

    Raised at once it would look to the session as if the COMMIT had failed: no `on_commit` callback
    would run.

    Args:
        error: The cancellation.
        connection: The connection whose COMMIT has held.

    Returns:
        Whether it will be raised. `False` for a connection that no session of ours uses: nothing
        follows its COMMIT, and the caller raises it.
    """
    noted: weakref.ref[Session] | None = vars(connection).get(_SESSION)
    session = None if noted is None else noted()
    if session is None or session.get_transaction() is None:
        return False

    def end(session: Session, ended: SessionTransaction) -> None:
        if ended.parent is None:
            event.remove(session, "after_transaction_end", end)
            raise error

    # After the listeners that are there already: the callbacks' is one of them.
    event.listen(session, "after_transaction_end", end)
    return True
