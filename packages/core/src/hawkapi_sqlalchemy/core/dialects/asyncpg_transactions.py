"""BEGIN on PostgreSQL, sent by itself, and on another connection when the first is dead.

SQLAlchemy's adapter sends BEGIN together with the first statement. A connection that died a moment
ago would then fail that statement, though nothing was done yet that could not be done elsewhere.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy.engine import Connection
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import await_only

__all__ = ["begin"]

_ATTEMPTS = 2


def begin(connection: Connection) -> None:
    """Send BEGIN now. Called from SQLAlchemy's `begin` event, before there is a transaction.

    A BEGIN that fails has done nothing, whatever the reason, so it is sent once more on a new
    connection. When that fails too, the first statement meets the reason and reports it.

    Args:
        connection: The connection that begins.
    """
    for _ in range(_ATTEMPTS):
        adapted: Any = connection.connection.dbapi_connection
        # The adapter's own, private method: it keeps track of the transaction. Where it is missing,
        # BEGIN goes with the first statement, as SQLAlchemy sends it.
        start = getattr(adapted, "_start_transaction", None)
        if start is None:
            return
        try:
            await_only(start())
        except (connection.dialect.loaded_dbapi.Error, OSError) as error:
            _reconnect(connection, error)
        else:
            return


def _reconnect(connection: Connection, error: Exception) -> None:
    connection.invalidate(error)
    # Isolation level and access mode were set on the connection that is gone.
    options = connection.get_execution_options()
    known = cast("DefaultDialect", connection.dialect).connection_characteristics
    wanted = {name: options[name] for name in known if name in options}
    if wanted:
        connection.execution_options(**wanted)
