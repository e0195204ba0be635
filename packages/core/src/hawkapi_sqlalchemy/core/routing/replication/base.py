"""What is asked of every kind of server, and what the answers are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy.ext.asyncio import AsyncConnection

from hawkapi_sqlalchemy.core.routing.positions import Position

__all__ = ["NoReplication", "PrimaryView", "ReplicaView", "Replication"]


@dataclass(frozen=True, slots=True)
class PrimaryView:
    """What a primary tells.

    Args:
        position: How far its log has got; `None` where it tells none.
        is_primary: Whether it takes writes.
        identity: What all servers of one cluster have in common; `None` where nothing is.
    """

    position: Position | None
    is_primary: bool
    identity: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """What a replica tells.

    Args:
        position: How far it has replayed its primary's log; `None` where that is unknown.
        lag_bytes: How much of the primary's log it has not replayed; `None` where that is unknown.
        lag_seconds: For how long, at most, it has not shown what the primary has; 0 if it has
            replayed all that was seen of the primary, however long ago that was written. `None`
            where it is unknown: then the time since a position of the primary was first seen that
            `position` does not cover can stand for it.
        problem: Why it cannot serve, in a few words; `None` if it can, as far as it knows.
        is_astray: Whether what it shows is not an older state of the primary: it is a primary
            itself, or follows another one.
        receiving: Whether it is connected to its primary. If it is not, `lag_bytes` says little: it
            will not catch up by itself. `None` where that is unknown.
        identity: See `PrimaryView`.
    """

    position: Position | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None
    problem: str | None = None
    is_astray: bool = False
    receiving: bool | None = None
    identity: str | None = None


class Replication:
    """One kind of server: the statements, and what the answers mean.

    It keeps nothing, and works on any server of its kind. The methods raise what the driver raises.
    Connections of SQLAlchemy's are in AUTOCOMMIT.
    """

    tells_lag: ClassVar[bool] = True
    """Whether a replica can be told from one that has fallen behind."""

    tells_own_commit: ClassVar[bool] = False
    """Whether `capture` tells of the connection's own last write, and not of everybody's."""

    async def capture(self, driver_connection: Any) -> Position | None:
        """Ask how far the primary's log has got, after a COMMIT.

        Args:
            driver_connection: The driver's own connection that has committed, outside of any
                transaction. It is left as it was.

        Returns:
            What a replica must have replayed to show what was committed; `None` if this server does
            not tell.
        """
        raise NotImplementedError

    async def primary(self, connection: AsyncConnection) -> PrimaryView:
        """Look at the server that should be the primary.

        Args:
            connection: A connection to it.
        """
        raise NotImplementedError

    async def replica(
        self, connection: AsyncConnection, primary: PrimaryView | None
    ) -> ReplicaView:
        """Look at a replica.

        Args:
            connection: A connection to it.
            primary: What its primary has told shortly before, or last if it does not answer;
                `None` if that is unknown.
        """
        raise NotImplementedError

    async def replayed(self, connection: AsyncConnection, known: Position) -> Position | None:
        """Ask a replica how far it has replayed, and nothing else: for who asks in a loop.

        Args:
            connection: A connection to it.
            known: Its position as `replica` has told it last.

        Returns:
            The position, `None` if the server does not tell.
        """
        raise NotImplementedError


class NoReplication(Replication):
    """A kind of server that tells nothing: nothing is held against replicas, none is waited for.

    SQLite's replicas are copies of a file, which something else keeps up to date.
    """

    tells_lag = False

    async def capture(self, driver_connection: Any) -> Position | None:
        """Tell nothing."""
        del driver_connection

    async def primary(self, connection: AsyncConnection) -> PrimaryView:
        """Take it for the primary."""
        del connection
        return PrimaryView(None, is_primary=True, identity=None)

    async def replica(
        self, connection: AsyncConnection, primary: PrimaryView | None
    ) -> ReplicaView:
        """Have nothing against it."""
        del connection, primary
        return ReplicaView()

    async def replayed(self, connection: AsyncConnection, known: Position) -> Position | None:
        """Tell nothing."""
        del connection, known
