"""MySQL: sets of global transaction ids."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hawkapi_sqlalchemy.core.routing.positions import LARGEST_DUMP, GtidSet, Position
from hawkapi_sqlalchemy.core.routing.replication.base import PrimaryView, Replication, ReplicaView
from hawkapi_sqlalchemy.core.routing.replication.threads import Columns, ask_threads
from hawkapi_sqlalchemy.core.routing.replication.variables import is_on, scalar

__all__ = ["MySQLReplication"]

_EXECUTED = "SELECT @@GLOBAL.gtid_executed"
_PRIMARY = (
    "SELECT @@GLOBAL.gtid_executed AS executed, @@GLOBAL.gtid_mode AS mode,"
    " @@GLOBAL.read_only OR @@GLOBAL.super_read_only AS read_only"
)
_THREADS = "SHOW REPLICA STATUS"
_COLUMNS = Columns("Replica_IO_Running", "Replica_SQL_Running", "Seconds_Behind_Source")


class MySQLReplication(Replication):
    """Replication by GTID; from MySQL 8.0.22 on, which has `SHOW REPLICA STATUS`.

    Written after MySQL's manual, and tested against answers like those that it shows: it has not
    been run against MySQL. The lag in seconds needs the privilege `REPLICATION CLIENT`. Without, it
    is unknown unless the replica has all that the primary has.
    """

    async def capture(self, driver_connection: Any) -> Position | None:
        """Ask on aiomysql's connection: one round trip, which begins no transaction.

        The answer is all that the primary has by now, transactions of others included. `None`
        without GTIDs, and where the set is too fragmented for a token.
        """
        text: str = await scalar(driver_connection, _EXECUTED)
        position = GtidSet.parse(text)
        return position if text and len(str(position)) <= LARGEST_DUMP else None

    async def primary(self, connection: AsyncConnection) -> PrimaryView:
        """Ask for the position, which is `None` without GTIDs, and whether writes are refused."""
        row = (await connection.exec_driver_sql(_PRIMARY)).mappings().one()
        return PrimaryView(
            GtidSet.parse(row["executed"]) if row["mode"] == "ON" else None,
            is_primary=not is_on(row["read_only"]),
            identity=None,
        )

    async def replica(
        self, connection: AsyncConnection, primary: PrimaryView | None
    ) -> ReplicaView:
        """Ask for the position, and for the threads if the account may know."""
        executed = GtidSet.parse((await connection.exec_driver_sql(_EXECUTED)).scalar_one())
        threads = await ask_threads(connection, _THREADS, _COLUMNS)
        seconds = threads.seconds if threads is not None else None
        written = primary.position if primary is not None else None
        if written is not None and executed.covers(written):
            seconds = 0.0
        return ReplicaView(
            position=executed,
            lag_seconds=seconds,
            problem=threads.problem if threads is not None else None,
            is_astray=threads is not None and threads.is_astray,
            receiving=threads.receiving if threads is not None else None,
        )

    async def replayed(self, connection: AsyncConnection, known: Position) -> Position | None:
        """Ask for the position alone."""
        del known
        return GtidSet.parse((await connection.exec_driver_sql(_EXECUTED)).scalar_one())
