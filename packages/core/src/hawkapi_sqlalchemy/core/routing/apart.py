"""Keeps the connection that a session reads on apart from what becomes of its transaction.

SQLAlchemy's `SessionTransaction` treats all its connections alike, in the order of a set: its
COMMIT fails on one that is lost, before or after the primary's, and aiomysql sends COMMIT to the
replica in AUTOCOMMIT too. But whether a write is stored is for the primary alone to say.

Where a transaction keeps its connections is a private name. A SQLAlchemy without it would end them
in its own way, and `tests/core/routing/test_apart.py` would tell.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.engine import Engine as SyncEngine
from sqlalchemy.orm import Session, SessionTransaction

from hawkapi_sqlalchemy.core.session_info import ASIDE

__all__ = ["give_back_all", "has_private_name", "spare_commit", "take_out"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_CONNECTIONS = "_connections"


def has_private_name() -> bool:
    """Tell whether this SQLAlchemy keeps a transaction's connections where it is thought to."""
    return _CONNECTIONS in SessionTransaction.__init__.__code__.co_names


def _entries(transaction: SessionTransaction) -> dict[Any, Any]:
    """Answer what there is of each connection, under it and under its engine."""
    return getattr(transaction, _CONNECTIONS, {})


def spare_commit(transaction: SessionTransaction, connection: Connection) -> None:
    """Have a transaction's COMMIT leave one of its connections alone.

    Args:
        transaction: The transaction, which ends it otherwise as before.
        connection: A connection that only reads, and that the transaction has just begun with.
    """
    # A savepoint's connections are those of the transaction around it.
    if transaction.parent is None and connection in (entries := _entries(transaction)):
        _, begun, _, closes = entries[connection]
        entries[connection] = entries[connection.engine] = connection, begun, False, closes


def take_out(session: Session, engine: SyncEngine, *, in_use: bool) -> None:
    """Give the connection of an engine back before the end of the session's transaction.

    Whatever state it is in: nothing about it raises, except for a cancellation.

    Args:
        session: The session. In SQLAlchemy's greenlet.
        engine: An engine whose connection has only read.
        in_use: A stream is still read from the connection: keep it until the transaction's end.
    """
    connection: Connection | None = None
    for transaction in _transactions(session):
        entries = _entries(transaction)
        if engine in entries:
            connection = entries.pop(engine)[0]
            entries.pop(connection, None)
    if connection is None:
        return
    aside: list[Connection] = session.info.setdefault(ASIDE, [])
    # There it is found again should closing it be cancelled.
    aside.append(connection)
    if not in_use:
        _give_back(connection)
        aside.remove(connection)


def give_back_all(session: Session) -> None:
    """Give back what was kept for its streams; at the end of the session's transaction.

    Args:
        session: The session. In SQLAlchemy's greenlet.
    """
    aside: list[Connection] = session.info.get(ASIDE, [])
    while aside:
        _give_back(aside[-1])
        aside.pop()


def _transactions(session: Session) -> Iterator[SessionTransaction]:
    transaction = session.get_nested_transaction() or session.get_transaction()
    while transaction is not None:
        yield transaction
        transaction = transaction.parent


def _give_back(connection: Connection) -> None:
    try:
        connection.close()
    except Exception as error:  # noqa: BLE001  # whatever it was, what was read has been read
        logger.warning("giving a reader's connection back failed: %s", type(error).__name__)
        if not connection.closed:
            connection.invalidate()
            connection.close()
