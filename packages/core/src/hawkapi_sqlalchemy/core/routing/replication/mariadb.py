"""MariaDB: global transaction ids, replicas that follow by them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from hawkapi_sqlalchemy.core.routing.positions import GtidPosition, Position
from hawkapi_sqlalchemy.core.routing.replication.base import PrimaryView, Replication, ReplicaView
from hawkapi_sqlalchemy.core.routing.replication.threads import (
    SQL_STOPPED,
    Columns,
    Threads,
    ask_threads,
)
from hawkapi_sqlalchemy.core.routing.replication.variables import is_on, scalar

__all__ = ["MariaDBReplication"]

_CAPTURE = "SELECT @@last_gtid"
_PRIMARY = "SELECT @@gtid_binlog_pos AS written, @@log_bin AS has_log, @@read_only AS read_only"
# The counters are open to everybody: `slave_running` is about both threads of the connection that
# has no name, `slaves_running` about the SQL threads of all connections.
_REPLICA = """
    SELECT @@gtid_slave_pos AS replayed,
        (SELECT variable_value FROM information_schema.global_status
            WHERE variable_name = 'slave_running') AS running,
        (SELECT variable_value FROM information_schema.global_status
            WHERE variable_name = 'slaves_running') AS replaying
"""
_REPLAYED = "SELECT @@gtid_slave_pos"
_THREADS = "SHOW ALL REPLICAS STATUS"
_COLUMNS = Columns("Slave_IO_Running", "Slave_SQL_Running", "Seconds_Behind_Master")


class MariaDBReplication(Replication):
    """Replication by GTID, of one primary at a time in each domain.

    The lag in seconds needs the privilege `SLAVE MONITOR` (`REPLICA MONITOR`). Without, it is
    unknown unless the replica has the primary's position, and of its threads it is known only
    whether all are stopped or none is. Nothing is known of the lag in bytes, nor of what the
    servers of one cluster have in common.
    """

    tells_own_commit = True

    async def capture(self, driver_connection: Any) -> Position | None:
        """Ask on aiomysql's connection, which has to be the one that has committed.

        One round trip; reading a variable begins no transaction. `None` if the session has never
        written to the binary log.
        """
        text = await scalar(driver_connection, _CAPTURE)
        return GtidPosition.parse(text) if text else None

    async def primary(self, connection: AsyncConnection) -> PrimaryView:
        """Ask for the position, which is `None` without a binary log, and for `read_only`."""
        row = (await connection.exec_driver_sql(_PRIMARY)).mappings().one()
        return PrimaryView(
            GtidPosition.parse(row["written"]) if is_on(row["has_log"]) else None,
            is_primary=not is_on(row["read_only"]),
            identity=None,
        )

    async def replica(
        self, connection: AsyncConnection, primary: PrimaryView | None
    ) -> ReplicaView:
        """Ask for the position, and for the threads if the account may know."""
        row = (await connection.exec_driver_sql(_REPLICA)).mappings().one()
        replayed = GtidPosition.parse(row["replayed"])
        threads = await ask_threads(connection, _THREADS, _COLUMNS)
        if threads is None:
            # Either thread of one connection may be the one that is stopped, or receiving may be
            # what another connection does.
            threads = Threads(
                problem=None if int(row["replaying"]) else SQL_STOPPED,
                receiving=True if row["running"] == "ON" else None,
            )
        problem, seconds = threads.problem, threads.seconds
        is_astray = threads.is_astray
        written = primary.position if primary is not None else None
        if isinstance(written, GtidPosition):
            if replayed.covers(written):
                seconds = 0.0
            elif _has_parted(replayed, written):
                problem, is_astray = "it follows another cluster", True
        return ReplicaView(
            position=replayed,
            lag_seconds=seconds,
            problem=problem,
            is_astray=is_astray,
            receiving=threads.receiving,
        )

    async def replayed(self, connection: AsyncConnection, known: Position) -> Position | None:
        """Ask for the position alone."""
        del known
        return GtidPosition.parse((await connection.exec_driver_sql(_REPLAYED)).scalar_one())


def _has_parted(replayed: GtidPosition, written: GtidPosition) -> bool:
    """Tell whether a replica has got as far as its primary, or further, on a way of its own."""
    primary = {domain: (server, number) for domain, server, number in written.last}
    return any(
        domain in primary and primary[domain][0] != server and number >= primary[domain][1]
        for domain, server, number in replayed.last
    )
