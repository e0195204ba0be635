"""Where a session reads from: one replica, chosen when it is first needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.engine import Engine as SyncEngine
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only
from sqlalchemy.util.concurrency import in_greenlet

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.errors import CannotConnectError
from hawkapi_sqlalchemy.core.routing.apart import take_out
from hawkapi_sqlalchemy.core.routing.freshness import Requirement, current_freshness
from hawkapi_sqlalchemy.core.routing.replica_set import ReplicaSet
from hawkapi_sqlalchemy.core.routing.streams import is_open, stream_of
from hawkapi_sqlalchemy.core.session_info import has_begun, set_autocommit

__all__ = ["ROUTE", "Route", "read_together", "route_of"]

ROUTE = "hawkapi_route"
"""Where a session's `info` keeps its route."""


class _Pin:
    """What the sessions of one request have in common: none reads an older state than another.

    Attributes:
        engine: Where one of them has read last; `None` before the first statement.
        readers: How many of them have a place to read from.
    """

    __slots__ = ("engine", "readers")

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.readers = 0


class Route:
    """Where one session reads from.

    Args:
        replicas: The set that is chosen from.
        access: How the session may be used.

    Attributes:
        engine: The database that was chosen; `None` before the first statement.
        reader: What its statements go to, until they go elsewhere.
    """

    __slots__ = (
        "_pin",
        "_requirement",
        "_streams",
        "_tried",
        "access",
        "engine",
        "reader",
        "replicas",
    )

    def __init__(self, replicas: ReplicaSet, access: Access) -> None:
        self.replicas = replicas
        self.access = access
        self.engine: Engine | None = None
        self.reader: SyncEngine | None = None
        self._streams: list[Any] = []
        self._tried: list[Engine] = []
        self._pin = _Pin()
        self._requirement: Requirement | None = None

    @property
    def is_on_replica(self) -> bool:
        """Whether the database that was chosen is a replica."""
        return self.engine is not None and self.replicas.replica_of(self.engine) is not None

    def bind(self, session: Session) -> SyncEngine:
        """Answer what the session works on, and choose it first where that is still to be done.

        Args:
            session: The session. In SQLAlchemy's greenlet.
        """
        freshness = current_freshness.get(None)
        requirement = None if freshness is None else freshness.required(self.replicas.cluster)
        if self.engine is None:
            engine = self._pinned(requirement)
            if engine is None:
                engine = self.replicas.engine_now(requirement, self._tried)
            if engine is None:
                try:
                    engine = await_only(self.replicas.engine(requirement, self._tried))
                    # Another session of the request may have been quicker.
                    engine = self._pinned(requirement) or engine
                except MissingGreenlet:
                    # Somebody asks the session for its bind, for the dialect's sake. Statements
                    # come in a greenlet.
                    return self.replicas.engines[0].bound(self.access).sync_engine
            self._take(engine, session)
            self._requirement = requirement
        elif requirement != self._requirement or self._pin.engine is not self.engine:
            self._keep_up(self.engine, requirement, session)
        assert self.engine is not None  # noqa: S101  # chosen above
        self.engine.enter_loop()
        self.reader = self.engine.bound(self.access).sync_engine
        return self.reader

    def leave(self, session: Session) -> None:
        """Read there no more: give the connection back, in whatever state it is.

        One with a stream that was not read to its end is kept until the transaction's.

        Args:
            session: The session. In SQLAlchemy's greenlet.
        """
        reader, self.reader = self.reader, None
        if reader is not None:
            take_out(session, reader, in_use=any(is_open(each) for each in self._streams))
            self._streams.clear()

    def has_answered(self, result: Any) -> None:
        """Note what was answered, if there is more of it to come.

        Args:
            result: What a statement of the session's has returned.
        """
        stream = stream_of(result)
        if stream is not None:
            self._streams.append(stream)

    def blame(self, error: BaseException) -> None:
        """Have the replica looked at, if it is one that was read from.

        Args:
            error: What was raised.
        """
        replica = None if self.engine is None else self.replicas.replica_of(self.engine)
        if replica is not None:
            replica.connection_failed(error)

    def has_failed(self, error: BaseException, session: Session) -> bool:
        """Give the connection up. If it was a replica's, choose anew at the next statement.

        Args:
            error: What was raised.
            session: The session. In SQLAlchemy's greenlet.

        Returns:
            Whether a statement may run again. On the primary it may once: that a connection of its
            pool was lost says little of the server, and that none could be opened says enough.
        """
        self.leave(session)
        engine = self.engine
        if engine is None:
            return False
        self.blame(error)
        has_failed_before = engine in self._tried
        self._tried.append(engine)
        if not self.is_on_replica:
            return not (has_failed_before or isinstance(error, CannotConnectError))
        self.engine = None
        self._pin.readers -= 1
        if self._pin.readers == 0:
            self._pin.engine = None
        return len(self._tried) <= len(self.replicas.engines) + 1

    def move_to_primary(self, session: Session) -> None:
        """Read from the primary from now on.

        Args:
            session: The session.
        """
        self._take(self.replicas.primary, session)

    def read_with(self, other: Route) -> None:
        """Read where another session of the request does; before the first statement.

        Args:
            other: The other session's route.
        """
        self._pin = other._pin

    def _pinned(self, requirement: Requirement | None) -> Engine | None:
        """Answer where the request reads from already, or the primary if that will not do.

        The primary is behind no replica.
        """
        engine = self._pin.engine
        if engine is None or (engine not in self._tried and self._shows(engine, requirement)):
            return engine
        return self.replicas.primary

    def _take(self, engine: Engine, session: Session) -> None:
        if self.engine is None:
            self._pin.readers += 1
        elif engine is not self.engine:
            self.leave(session)
        self.replicas.count(engine)
        self.engine = self._pin.engine = engine
        set_autocommit(session, autocommit=engine.autocommits(self.access))

    def _keep_up(self, engine: Engine, requirement: Requirement | None, session: Session) -> None:
        """Move to the primary, which is behind nobody, if the request has seen more by now.

        It may have written something itself, or another of its sessions has moved there.
        """
        # Outside of the greenlet somebody asks for the bind, for the dialect's sake.
        if not in_greenlet() or self._is_in_snapshot(session):
            return
        if self.is_on_replica and (
            self._pin.engine is not engine or not self._shows(engine, requirement)
        ):
            self._take(self.replicas.primary, session)
        self._requirement = requirement

    def _is_in_snapshot(self, session: Session) -> bool:
        return self.access is Access.SNAPSHOT and has_begun(session)

    def _shows(self, engine: Engine, requirement: Requirement | None) -> bool:
        replica = self.replicas.replica_of(engine)
        if requirement is None or replica is None:
            return True
        position = requirement.position
        return position is not None and replica.shows(position)


def route_of(session: AsyncSession | Session) -> Route | None:
    """Answer where a session reads from; `None` for one that is not routed."""
    return session.info.get(ROUTE)


def read_together(session: AsyncSession, others: Iterable[AsyncSession]) -> None:
    """Have a new session read where the other sessions of its request do, if it is routed.

    Args:
        session: The session.
        others: The others.
    """
    route = route_of(session)
    if route is None:
        return
    for other in map(route_of, others):
        if other is not None:
            route.read_with(other)
            return
