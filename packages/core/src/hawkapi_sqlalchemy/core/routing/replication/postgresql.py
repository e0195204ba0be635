"""PostgreSQL: positions in the write-ahead log, standbys that replay it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from hawkapi_sqlalchemy.core.faults import error_code
from hawkapi_sqlalchemy.core.routing.positions import Position, WalPosition
from hawkapi_sqlalchemy.core.routing.replication.base import PrimaryView, Replication, ReplicaView

__all__ = ["PostgreSQLReplication", "record_end"]

_LONG_PAGE_HEADER = 40
_PAGE_HEADER = 24
_INSUFFICIENT_PRIVILEGE = "42501"

# The functions of the write-ahead log raise an error in recovery. The name of the log's file begins
# with the timeline; `pg_control_checkpoint()` keeps the old one for a while after a promotion.
_WRITTEN = """
    CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn()::text END AS lsn,
    CASE WHEN NOT pg_is_in_recovery()
        THEN left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END AS timeline,
    pg_size_bytes(current_setting('wal_segment_size')) AS segment_size,
    pg_size_bytes(current_setting('wal_block_size')) AS page_size
"""
# What follows may be asked by everybody, unless the server's owner has taken it away.
_IDENTITY = "(SELECT system_identifier::text FROM pg_control_system()) AS identity"
_LEAST_TIMELINE = """
    greatest(
        (SELECT timeline_id FROM pg_control_checkpoint()),
        (SELECT min_recovery_end_timeline FROM pg_control_recovery())
    ) AS least_timeline
"""
_CAPTURE = f"SELECT {_WRITTEN}"
_PRIMARY = f"SELECT {_WRITTEN}, {_IDENTITY}"
_PLAIN_PRIMARY = f"SELECT {_WRITTEN}, NULL AS identity"
_REPLAY = """
    pg_is_in_recovery() AS in_recovery,
    pg_last_wal_replay_lsn()::text AS lsn,
    extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS age,
    CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END AS paused,
    (SELECT count(*) FROM pg_stat_wal_receiver) AS receivers,
    (SELECT max(received_tli) FROM pg_stat_wal_receiver) AS timeline
"""
_REPLICA = f"SELECT {_REPLAY}, {_IDENTITY}, {_LEAST_TIMELINE}"
_PLAIN_REPLICA = f"SELECT {_REPLAY}, NULL AS identity, NULL AS least_timeline"
_REPLAYED = "SELECT pg_last_wal_replay_lsn()::text"


def record_end(lsn: int, *, segment_size: int, page_size: int) -> int:
    """Find the end of the last record before the place where the next one will be written.

    The two differ when a record has just filled a page: the next one begins behind the new page's
    header. A standby that has replayed everything stands at the end of the page, and would be
    waited for until the primary writes again.

    Args:
        lsn: Where the next record will be written, `pg_current_wal_insert_lsn()`.
        segment_size: The size of a file of the log, in bytes; its first page has a longer header.
        page_size: The size of a page of the log, in bytes.
    """
    if lsn % segment_size == _LONG_PAGE_HEADER:
        return lsn - _LONG_PAGE_HEADER
    if lsn % page_size == _PAGE_HEADER:
        return lsn - _PAGE_HEADER
    return lsn


class PostgreSQLReplication(Replication):
    """Streaming replication.

    An ordinary account may ask all of this. To see which timeline a standby follows, it needs
    `pg_read_all_stats`. Without, the timeline is what the standby's control file proves, which may
    be the old one for minutes after a promotion: until then positions on the new one are not
    covered, and unless the standby has exactly the primary's position its lag is unknown.
    """

    async def capture(self, driver_connection: Any) -> Position | None:
        """Ask on asyncpg's connection.

        One round trip, as the statement is prepared once for each connection; two where statements
        are not kept, behind PgBouncer.
        """
        return _written(await driver_connection.fetchrow(_CAPTURE))

    async def primary(self, connection: AsyncConnection) -> PrimaryView:
        """Ask for the position, which is `None` in recovery."""
        row = await _first(connection, _PRIMARY, _PLAIN_PRIMARY)
        position = _written(row)
        return PrimaryView(position, is_primary=position is not None, identity=row["identity"])

    async def replica(
        self, connection: AsyncConnection, primary: PrimaryView | None
    ) -> ReplicaView:
        """Ask for all that is known of the replay, and compare it with the primary."""
        return _judged(await _first(connection, _REPLICA, _PLAIN_REPLICA), primary)

    async def replayed(self, connection: AsyncConnection, known: Position) -> Position | None:
        """Ask for the position alone; the timeline is that of the last full look."""
        lsn: str | None = (await connection.exec_driver_sql(_REPLAYED)).scalar()
        if lsn is None or not isinstance(known, WalPosition):
            return None
        return WalPosition(known.timeline, _number(lsn))


async def _first(connection: AsyncConnection, statement: str, plain: str) -> RowMapping:
    try:
        return (await connection.exec_driver_sql(statement)).mappings().one()
    except DBAPIError as error:
        if error.orig is None or error_code(error.orig) != _INSUFFICIENT_PRIVILEGE:
            raise
    return (await connection.exec_driver_sql(plain)).mappings().one()


def _written(row: Any) -> WalPosition | None:
    # It may be in recovery, or may have left it between two of the functions.
    if row["lsn"] is None or row["timeline"] is None:
        return None
    end = record_end(
        _number(row["lsn"]), segment_size=row["segment_size"], page_size=row["page_size"]
    )
    return WalPosition(int(row["timeline"], 16), end)


def _judged(row: RowMapping, primary: PrimaryView | None) -> ReplicaView:
    identity: str | None = row["identity"]
    if not row["in_recovery"]:
        return ReplicaView(
            problem="it is not in recovery: its role has changed", is_astray=True, identity=identity
        )
    written = primary.position if primary is not None else None
    problem = "its replay is paused" if row["paused"] else None
    is_astray = False
    expected = primary.identity if primary is not None else None
    if None not in (expected, identity) and expected != identity:
        written, problem, is_astray = None, "it follows another cluster", True
    followed: int | None = row["timeline"]
    timeline: int | None = row["least_timeline"] if followed is None else followed
    replayed = None
    if timeline is not None and row["lsn"] is not None:
        replayed = WalPosition(timeline, _number(row["lsn"]))
    lag_seconds: float | None = None if row["age"] is None else max(0.0, row["age"])
    lag_bytes = None
    if replayed is not None and isinstance(written, WalPosition):
        if followed is not None and followed != written.timeline:
            problem = f"it follows timeline {followed}, the primary is on {written.timeline}"
            is_astray = True
        lag_bytes = _behind(replayed, written, is_followed=followed is not None)
        if lag_bytes is None:
            # It may replay, and be up to date with, what this primary never had.
            lag_seconds = None
        elif lag_bytes == 0:
            lag_seconds = 0.0
    return ReplicaView(
        position=replayed,
        lag_bytes=lag_bytes,
        lag_seconds=lag_seconds,
        problem=problem,
        is_astray=is_astray,
        receiving=row["receivers"] > 0,
        identity=identity,
    )


def _behind(replayed: WalPosition, written: WalPosition, *, is_followed: bool) -> int | None:
    if replayed.timeline == written.timeline:
        return max(0, written.lsn - replayed.lsn)
    # A promotion writes a record at once: who followed another server since stands elsewhere.
    return 0 if not is_followed and replayed.lsn == written.lsn else None


def _number(lsn: str) -> int:
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)
