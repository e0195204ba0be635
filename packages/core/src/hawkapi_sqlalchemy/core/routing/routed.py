"""Sessions that read from one replica, chosen when they first need it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.engine import Engine as SyncEngine
from sqlalchemy.exc import DBAPIError, MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.errors import CannotConnectError
from hawkapi_sqlalchemy.core.faults import Fault, fault_of
from hawkapi_sqlalchemy.core.routing.freshness import Requirement, current_freshness
from hawkapi_sqlalchemy.core.routing.replica_set import ReplicaSet
from hawkapi_sqlalchemy.core.session_info import (
    autocommits,
    has_begun,
    is_ending,
    set_autocommit,
)
from hawkapi_sqlalchemy.core.sessions import DatabaseSession, may_begin_again, only_reads

__all__ = ["ROUTE", "Route", "RoutedSession", "read_together", "route_of"]

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
    """

    __slots__ = ("_pin", "_requirement", "_tried", "access", "engine", "replicas")

    def __init__(self, replicas: ReplicaSet, access: Access) -> None:
        self.replicas = replicas
        self.access = access
        self.engine: Engine | None = None
        self._tried: list[Engine] = []
        self._pin = _Pin()
        self._requirement: Requirement | None = None

    @property
    def is_on_replica(self) -> bool:
        """Whether the database that was chosen is a replica."""
        return self.engine is not None and self.replicas.replica_of(self.engine) is not None

    @property
    def may_try_again(self) -> bool:
        """Whether somebody is left who might serve, or has not been asked twice."""
        return len(self._tried) <= len(self.replicas.engines) + 1

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
        elif requirement != self._requirement and not self._is_in_snapshot(session):
            if not self._shows(self.engine, requirement):
                # The request itself has written meanwhile. The primary is behind nobody.
                self._take(self.replicas.primary, session)
            self._requirement = requirement
        assert self.engine is not None  # noqa: S101  # chosen above
        self.engine.enter_loop()
        return self.engine.bound(self.access).sync_engine

    def has_failed(self, error: BaseException) -> None:
        """Choose anew at the next statement, and another one.

        Args:
            error: What was raised.
        """
        if self.engine is None:
            return
        self._tried.append(self.engine)
        replica = self.replicas.replica_of(self.engine)
        if replica is not None:
            replica.connection_failed(error)
        self.engine = None
        self._pin.readers -= 1
        if self._pin.readers == 0:
            self._pin.engine = None

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
        self.replicas.count(engine)
        self.engine = self._pin.engine = engine
        set_autocommit(session, autocommit=engine.autocommits(self.access))

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


class RoutedSession(DatabaseSession):
    """The session below one that reads from a replica.

    It stays with the replica that it begins with. If that one is lost, its statement runs again:
    on another replica if it was the first, and on the primary, which is behind no replica, if
    others went before it.
    """

    def get_bind(self, mapper: Any = None, *, bind: Any = None, **arguments: Any) -> Any:
        """Answer what to work on; see SQLAlchemy's `Session.get_bind`."""
        del mapper, arguments
        if bind is not None:
            return bind
        route: Route = self.info[ROUTE]
        return route.bind(self)

    def execute(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement; see SQLAlchemy's `Session.execute`."""
        while True:
            begun = self.in_transaction()
            try:
                return super(DatabaseSession, self).execute(statement, *args, **kwargs)
            except DBAPIError as error:
                if not self._has_moved(statement, error, begun=begun):
                    raise

    def scalar(self, statement: Any, *args: Any, **kwargs: Any) -> Any:
        """Execute a statement for one value; see SQLAlchemy's `Session.scalar`."""
        while True:
            begun = self.in_transaction()
            try:
                return super(DatabaseSession, self).scalar(statement, *args, **kwargs)
            except DBAPIError as error:
                if not self._has_moved(statement, error, begun=begun):
                    raise

    def begin_nested(self) -> SessionTransaction:
        """Begin a savepoint; see SQLAlchemy's `Session.begin_nested`.

        Raises:
            TransactionRequiredError: The session's statements each stand for themselves.
        """
        # Whether they do depends on the database, which must be known by now.
        self.get_bind()
        return super().begin_nested()

    def _has_moved(self, statement: Any, error: DBAPIError, *, begun: bool) -> bool:
        """Make another database the session's, if its statement may run there instead."""
        route: Route = self.info[ROUTE]
        was_on_replica = route.is_on_replica
        lost = error.connection_invalidated or isinstance(error, CannotConnectError)
        # A replica cancels what stands in the way of its replay.
        conflict = was_on_replica and fault_of(error) is Fault.SERIALIZATION
        if not (lost or conflict) or is_ending(self) or not only_reads(self, statement):
            return False
        if lost:
            route.has_failed(error)
        if begun:
            if not was_on_replica or not autocommits(self):
                return False
            # It stands for itself here, so it may stand for itself elsewhere. The transaction that
            # SQLAlchemy has open around it is a shell, and goes on beside the lost connection.
            route.move_to_primary(self)
            return True
        if not route.may_try_again or not may_begin_again(self):
            return False
        if conflict:
            route.move_to_primary(self)
        self.rollback()
        return True
