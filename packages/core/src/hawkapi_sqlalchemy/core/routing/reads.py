"""What makes the sessions that read from replicas."""

from __future__ import annotations

import functools

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.errors import ConfigurationError
from hawkapi_sqlalchemy.core.routing.replica_set import ReplicaSet
from hawkapi_sqlalchemy.core.routing.route import ROUTE, Route
from hawkapi_sqlalchemy.core.routing.routed import RoutedSession
from hawkapi_sqlalchemy.core.routing.split import SplitSession
from hawkapi_sqlalchemy.core.session_info import session_info
from hawkapi_sqlalchemy.core.sessions import maker_arguments

__all__ = ["RoutedReads"]


@functools.cache
def _routed(kind: type[RoutedSession], base: type[Session]) -> type[Session]:
    """Make a class of an application's own follow a route.

    Raises:
        ConfigurationError: It has a way of its own to choose what a session works on.
    """
    if not issubclass(base, RoutedSession) and base.get_bind is not Session.get_bind:
        raise _refusal(f"a class of sessions, {base.__name__}, with a get_bind of its own")
    return kind if issubclass(kind, base) else type(f"Routed{base.__name__}", (kind, base), {})


def _refusal(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"session_kwargs has {what}, which sessions that read from replicas would not heed: what "
        "they work on is for the replicas' state to say. Leave it out, and ask for another "
        "database with session_for(name)"
    )


class RoutedReads:
    """The sessions of a replica set.

    Args:
        replicas: The set.

    Raises:
        ConfigurationError: The replicas' `session_kwargs` choose what sessions work on.

    Attributes:
        name: The name that they carry.
        replicas: The set.
    """

    def __init__(self, replicas: ReplicaSet) -> None:
        self.name = replicas.name
        self.replicas = replicas
        self._makers: dict[Access, async_sessionmaker[AsyncSession]] = {}
        self._split: async_sessionmaker[AsyncSession] | None = None
        # What is wrong with the configuration shows here, and not in a request.
        self._maker_of(Access.READ)

    def session(self, access: Access) -> AsyncSession:
        """Make a session. The caller ends it with `end_session`.

        Args:
            access: How it may be used.
        """
        return self._made(self._maker_of(access), access)

    def _maker_of(self, access: Access) -> async_sessionmaker[AsyncSession]:
        maker = self._makers.get(access)
        if maker is None:
            maker = _maker(RoutedSession, self.replicas.engines[0], self.name, access)
            self._makers[access] = maker
        return maker

    def split_session(self) -> AsyncSession:
        """Make a session that reads from a replica until it writes. The caller ends it.

        Raises:
            ConfigurationError: The primary's `session_kwargs` choose what sessions work on.
        """
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
    for own in ("bind", "binds"):
        if arguments.get(own) is not None:
            raise _refusal(f"{own!r}")
    arguments["sync_session_class"] = _routed(kind, arguments["sync_session_class"])
    return async_sessionmaker(**arguments)
