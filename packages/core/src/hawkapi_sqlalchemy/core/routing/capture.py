"""After a request's COMMIT: where has it led the primary?"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.core.routing.freshness import current_freshness
from hawkapi_sqlalchemy.core.routing.positions import Position
from hawkapi_sqlalchemy.core.routing.replica_set import ReplicaSet
from hawkapi_sqlalchemy.core.routing.replication import Replication

__all__ = ["Capture"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_TIMEOUT = 1.0
"""Seconds that the answer may take: a response waits for it."""


class Capture:
    """Asks the primary for its position after each COMMIT of a request, and notes it there.

    Commits that belong to no request are passed over. What cannot be found out is noted too: the
    client then reads from the primary for a while.

    Args:
        replicas: The set that the positions are for.
        replication: The primary's statements; `None` where nothing can be asked.
    """

    def __init__(self, replicas: ReplicaSet, replication: Replication | None) -> None:
        self._replicas = replicas
        self._replication = replication

    def __call__(self, connection: Connection) -> None:
        """Ask; called in SQLAlchemy's greenlet.

        Args:
            connection: The connection that has committed.
        """
        freshness = current_freshness.get()
        if freshness is None:
            return
        cluster = self._replicas.cluster
        if self._replication is None:
            freshness.note(cluster, None)
            return
        try:
            driver_connection = connection.connection.driver_connection
            position = await_only(_within(self._replication, driver_connection))
        except BaseException as error:
            freshness.note(cluster, None)
            # The answer may still be on its way.
            connection.invalidate()
            if not isinstance(error, Exception):
                raise
            logger.warning(
                "database %r: its position after a COMMIT is unknown (%s); the client reads from "
                "it for a while",
                cluster,
                type(error).__name__,
            )
            return
        freshness.note(cluster, position)
        if position is not None:
            self._replicas.reached(position)


async def _within(replication: Replication, driver_connection: Any) -> Position | None:
    async with asyncio.timeout(_TIMEOUT):
        return await replication.capture(driver_connection)
