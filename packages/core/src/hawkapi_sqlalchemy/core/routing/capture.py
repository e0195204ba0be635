"""After a request's COMMIT: where has it led the primary?"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.core.faults import leaves_connection
from hawkapi_sqlalchemy.core.put_off import put_off
from hawkapi_sqlalchemy.core.routing.freshness import current_freshness
from hawkapi_sqlalchemy.core.routing.positions import Position
from hawkapi_sqlalchemy.core.routing.replica_set import ReplicaSet
from hawkapi_sqlalchemy.core.routing.replication import Replication, replication_of
from hawkapi_sqlalchemy.core.routing.watched import has_only_read, watch_statements

__all__ = ["Capture"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_TOLD = "hawkapi_position"
"""Where a connection's `info` keeps what it told last."""

_TIMEOUT = 1.0
"""Seconds that the answer may take: a response waits for it."""


_UNKNOWN = (
    "database %r: its position after a COMMIT is unknown (%s); the client reads from it for a while"
)

_REFUSED = f"{_UNKNOWN}. So it is after each COMMIT; this is said once"


class Capture:
    """Asks the primary for its position after each COMMIT of a request, and notes it there.

    Commits that belong to no request are passed over, and so are those of transactions that have
    surely only read. What cannot be found out is noted too: the client then reads from the primary
    for a while. So does a task that has outlived its request.

    Args:
        replicas: The set that the positions are for.
    """

    def __init__(self, replicas: ReplicaSet) -> None:
        self._replicas = replicas
        self._has_refused = False
        watch_statements(replicas.primary.engine.sync_engine)

    def outcome_unknown(self) -> None:
        """Note that something may be stored: who looks whether it is has to ask the primary."""
        freshness = current_freshness.get()
        if freshness is not None:
            freshness.note(self._replicas.cluster, None)

    def committed(self, connection: Connection) -> None:
        """Ask; called in SQLAlchemy's greenlet.

        Args:
            connection: The connection that has committed.
        """
        freshness = current_freshness.get()
        if freshness is None or has_only_read(connection):
            return
        cluster = self._replicas.cluster
        if freshness.closed:
            # No client will be told. What the task itself reads comes from the primary.
            freshness.note(cluster, None)
            return
        replication = replication_of(connection.dialect)
        try:
            driver_connection = connection.connection.driver_connection
            position = await_only(_within(replication, driver_connection))
        except BaseException as error:
            freshness.note(cluster, None)
            if isinstance(error, Exception) and leaves_connection(error):
                self._warn_of_refusal(error)
                return
            # The answer may still be on its way.
            connection.invalidate()
            if isinstance(error, asyncio.CancelledError) and put_off(error, connection):
                return
            if not isinstance(error, Exception):
                raise
            logger.warning(_UNKNOWN, cluster, type(error).__name__)
            return
        if replication.tells_own_commit and self._has_told_before(connection, position):
            return
        freshness.note(cluster, position)
        if position is not None:
            self._replicas.reached(position)

    def _warn_of_refusal(self, error: Exception) -> None:
        # It would refuse each time, for want of a privilege perhaps.
        if not self._has_refused:
            self._has_refused = True
            logger.warning(_REFUSED, self._replicas.cluster, error)

    def _has_told_before(self, connection: Connection, position: Position | None) -> bool:
        """Tell whether a connection's last write is an earlier one: this COMMIT has stored nothing.

        Without a binary log no write is told of, and what is not known of counts as a write.
        """
        if position is None:
            return self._replicas.has_position
        before, connection.info[_TOLD] = connection.info.get(_TOLD), position
        return before == position


async def _within(replication: Replication, driver_connection: Any) -> Position | None:
    async with asyncio.timeout(_TIMEOUT):
        return await replication.capture(driver_connection)
