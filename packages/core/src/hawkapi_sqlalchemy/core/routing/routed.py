"""Sessions that read from one replica, chosen when they first need it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction

from hawkapi_sqlalchemy.core.errors import CannotConnectError
from hawkapi_sqlalchemy.core.faults import Fault, fault_of
from hawkapi_sqlalchemy.core.routing.apart import give_back_all, spare_commit
from hawkapi_sqlalchemy.core.routing.route import ROUTE, Route
from hawkapi_sqlalchemy.core.session_info import autocommits, has_begun, is_ending
from hawkapi_sqlalchemy.core.sessions import DatabaseSession, only_reads

__all__ = ["RoutedSession"]


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

    def begin_nested(self) -> SessionTransaction:
        """Begin a savepoint; see SQLAlchemy's `Session.begin_nested`.

        Raises:
            TransactionRequiredError: The session's statements each stand for themselves.
        """
        # Whether they do depends on the database, which must be known by now.
        self.get_bind()
        return super().begin_nested()

    def _survive(self, run: Callable[..., Any], statement: Any, *args: Any, **kwargs: Any) -> Any:
        arguments: Mapping[str, Any] = kwargs.get("bind_arguments") or {}
        if arguments.get("bind") is not None:
            # What the caller has chosen is none of the route's.
            return super()._survive(run, statement, *args, **kwargs)
        while True:
            begun = has_begun(self)
            try:
                result = run(statement, *args, **kwargs)
            except DBAPIError as error:
                if not self._has_moved(statement, error, begun=begun):
                    raise
            else:
                self.info[ROUTE].has_answered(result)
                return result

    def _has_moved(self, statement: Any, error: DBAPIError, *, begun: bool) -> bool:
        """Make another connection the session's, if its statement may run there instead.

        The transaction that SQLAlchemy has open around the statement goes on: nothing was done in
        it that was lost with the connection.
        """
        route: Route = self.info[ROUTE]
        was_on_replica = route.is_on_replica
        lost = error.connection_invalidated or isinstance(error, CannotConnectError)
        # A replica cancels what stands in the way of its replay.
        conflict = was_on_replica and fault_of(error) is Fault.SERIALIZATION
        if not (lost or conflict) or is_ending(self) or not only_reads(self, statement):
            return False
        if begun and not autocommits(self):
            if lost:
                route.blame(error)
            return False
        may_run_again = not lost or route.has_failed(error, self)
        if was_on_replica and (conflict or begun or self.identity_map):
            # Another replica may be behind what was read before.
            route.move_to_primary(self)
            return True
        return may_run_again


@event.listens_for(RoutedSession, "after_begin")
def _spare_commit(session: Session, transaction: SessionTransaction, begun: Connection) -> None:
    route: Route = session.info[ROUTE]
    if begun.engine is route.reader:
        spare_commit(transaction, begun)


@event.listens_for(RoutedSession, "after_transaction_end")
def _give_back(session: Session, ended: SessionTransaction) -> None:
    if ended.parent is None:
        give_back_all(session)
