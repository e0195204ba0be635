"""What makes the sessions that read from replicas."""

from __future__ import annotations

import functools

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.routing.replica_set import ReplicaSet
from hawkapi_sqlalchemy.core.routing.routed import ROUTE, Route, RoutedSession
from hawkapi_sqlalchemy.core.routing.split import SplitSession
from hawkapi_sqlalchemy.core.session_info import session_info
from hawkapi_sqlalchemy.core.sessions import maker_arguments

__all__ = ["RoutedReads"]


@functools.cache
def _routed(kind: type[RoutedSession], base: type[Session]) -> type[Session]:
    """Make a class of an application's own follow a route."""
    return kind if issubclass(kind, base) else type(f"Routed{base.__name__}", (kind, base), {})


class RoutedReads:
    """The sessions of a replica set.

    Args:
        replicas: The set.

    Attributes:
        name: The name that they carry.
        replicas: The set.
    """

    def __init__(self, replicas: ReplicaSet) -> None:
        self.name = replicas.name
        self.replicas = replicas
        self._makers: dict[Access, async_sessionmaker[AsyncSession]] = {}
        self._split: async_sessionmaker[AsyncSession] | None = None

    def session(self, access: Access) -> AsyncSession:
        """Make a session. The caller ends it with `end_session`.

        Args:
            access: How it may be used.
        """
        maker = self._makers.get(access)
        if maker is None:
            maker = _maker(RoutedSession, self.replicas.engines[0], self.name, access)
            self._makers[access] = maker
        return self._made(maker, access)

    def split_session(self) -> AsyncSession:
        """Make a session that reads from a replica until it writes. The caller ends it."""
        if self._split is None:
            primary = self.replicas.primary
            self._split = _maker(SplitSession, primary, primary.name, Access.WRITE)
        return self._made(self._split, Access.READ)

    def prepare(self, access: Access) -> None:
        """Make what sessions of a kind will use, so that it is known beforehand; opens nothing.

        Args:
            access: How the sessions may be used.
        """
        for engine in self.replicas.engines:
            engine.prepare(access)

    def _made(self, maker: async_sessionmaker[AsyncSession], reading: Access) -> AsyncSession:
        # As calling it does, which goes through all arguments to merge them with none.
        session = maker.class_(**maker.kw)
        session.sync_session.info[ROUTE] = Route(self.replicas, reading)
        return session


def _maker(
    kind: type[RoutedSession], configured: Engine, name: str, access: Access
) -> async_sessionmaker[AsyncSession]:
    info = session_info(name, access, autocommit=False)
    arguments = maker_arguments(configured.config.session_kwargs, kind, info)
    arguments["sync_session_class"] = _routed(kind, arguments["sync_session_class"])
    return async_sessionmaker(**arguments)
