"""Sessions that read from a replica until they write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import SessionTransaction
from sqlalchemy.util.concurrency import in_greenlet

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.errors import ReadOnlyError, TransactionRequiredError
from hawkapi_sqlalchemy.core.routing.reading import only_reads_surely
from hawkapi_sqlalchemy.core.routing.route import ROUTE, Route, route_of
from hawkapi_sqlalchemy.core.routing.routed import RoutedSession
from hawkapi_sqlalchemy.core.session_info import set_autocommit

__all__ = ["SplitSession", "stay_on_primary"]

_WRITES = "hawkapi_writes"


class SplitSession(RoutedSession):
    """The session below one that reads from a replica until it writes.

    From the first write on, and from all that might be one, everything goes to the primary: a
    flush, `INSERT`, `UPDATE`, `DELETE`, a `SELECT` that locks, calls a function that is not
    well-known, or has a part that is written as text, a savepoint, a server-side cursor that needs
    a transaction (PostgreSQL's), whatever else the replica refuses, and the connection itself.

    The replica's connection goes back to its pool before the first of them, or with the
    transaction if a stream is still read from it. What becomes of it is no matter of the COMMIT.
    """

    def get_bind(
        self, mapper: Any = None, *, clause: Any = None, bind: Any = None, **arguments: Any
    ) -> Any:
        """Answer what to work on; see SQLAlchemy's `Session.get_bind`."""
        del mapper, arguments
        if bind is not None:
            return bind
        route: Route = self.info[ROUTE]
        if not self.info.get(_WRITES):
            if clause is None and not self._flushing and not in_greenlet():
                # Somebody asks for it without a statement, for the dialect's sake.
                return route.replicas.primary.engine.sync_engine
            if not self._flushing and _only_reads(clause, route):
                return route.bind(self)
            _begin_writing(self)
        if in_greenlet():
            # Here and not where it was decided, which may be outside of SQLAlchemy's greenlet.
            route.leave(self)
        primary = route.replicas.primary
        primary.enter_loop()
        return primary.bound(Access.WRITE).sync_engine

    def _survive(self, run: Callable[..., Any], statement: Any, *args: Any, **kwargs: Any) -> Any:
        if self.info.get(_WRITES):
            return super(RoutedSession, self)._survive(run, statement, *args, **kwargs)
        is_first = not self.in_transaction()
        try:
            return super()._survive(run, statement, *args, **kwargs)
        except (TransactionRequiredError, ReadOnlyError):
            if self.info.get(_WRITES):
                raise
            # The replica has refused it, and so has done nothing.
            _begin_writing(self)
        except DBAPIError as error:
            # On the primary it has the same chance as the first statement of any session.
            if not (self.info.get(_WRITES) and is_first and self._may_repeat(statement, error)):
                raise
            self.rollback()
            return run(statement, *args, **kwargs)
        return super(RoutedSession, self)._survive(run, statement, *args, **kwargs)

    def _has_moved(self, statement: Any, error: DBAPIError, *, begun: bool) -> bool:
        # What is lost after that was the primary's connection, and no replica's fault.
        return not self.info.get(_WRITES) and super()._has_moved(statement, error, begun=begun)

    def begin_nested(self) -> SessionTransaction:
        """Begin a savepoint, on the primary; see SQLAlchemy's `Session.begin_nested`."""
        _begin_writing(self)
        return super().begin_nested()


def _only_reads(clause: Any, route: Route) -> bool:
    return only_reads_surely(clause, route.replicas.primary.engine.dialect)


def _begin_writing(session: Any) -> None:
    session.info[_WRITES] = True
    # What is on the primary is one transaction.
    set_autocommit(session, autocommit=False)


def stay_on_primary(session: AsyncSession) -> None:
    """Have a split session use the primary alone from now on.

    Args:
        session: The session.
    """
    if route_of(session) is not None:
        _begin_writing(session.sync_session)
