"""One database: its engines, its session factories, its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from hawkapi_sqlalchemy.core.access import OPTION, Access
from hawkapi_sqlalchemy.core.bind import Bind, unpooled_engine
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.dialects import DialectPolicy, policy_for
from hawkapi_sqlalchemy.core.events import CommitObserver
from hawkapi_sqlalchemy.core.names import is_replica
from hawkapi_sqlalchemy.core.pools import Pools
from hawkapi_sqlalchemy.core.session_info import session_info
from hawkapi_sqlalchemy.core.sessions import maker_arguments, session_class, watch_manual

__all__ = ["Engine", "create_engine"]


class Engine:
    """An async engine and its session factory, for one database.

    Made by `create_engine` or `Database.add`. It opens no connection before it is used, and
    serves one event loop at a time: when it is used in another one, the connections of the first
    are closed and new ones opened.

    Args:
        config: The database.
        name: Its name, as errors and the pool report it. Default `"primary"`.
        policy: How connections are opened and begun. Default: as the dialect needs it.

    Attributes:
        engine: SQLAlchemy's `AsyncEngine`.
        sessionmaker: Factory of plain writing sessions. Who calls it owns the session: nothing
            commits or closes it.
        config: The configuration it was made from.
        name: The database's name.
        only_read: Whether all its sessions are read-only: it is a replica, or configured so.

    Raises:
        ConfigurationError: The driver is not installed; the message names the extra.
    """

    def __init__(
        self, config: DatabaseConfig, *, name: str = "primary", policy: DialectPolicy | None = None
    ) -> None:
        self.config = config
        self.name = name
        self.only_read = config.read_only or is_replica(name)
        self._policy = policy or policy_for(config)
        self._policy.require_driver()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pools = Pools(config, name, self._policy)
        self.engine: AsyncEngine = self._pools.main.engine
        # For connections that are taken from the engine itself.
        self.engine.sync_engine.update_execution_options(**self._options(Access.MANUAL))
        self._bound: dict[Access, AsyncEngine] = {}
        self._makers: dict[Access, async_sessionmaker[AsyncSession]] = {}
        self.sessionmaker: async_sessionmaker[AsyncSession] = self._new_maker(Access.WRITE)
        self._policy.open()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.config!r})"

    @property
    def read_engine(self) -> AsyncEngine:
        """The `AsyncEngine` of the read-only sessions.

        Its pool is its own, with the same limits; its connections are in AUTOCOMMIT, and the
        server refuses their writes. It is `engine` itself where that is not wanted
        (`autocommit_reads=False`) or cannot be had: behind PgBouncer, and with execution options or
        connections of the application's own. What listens to `engine` (tracing, metrics, a type's
        codec) wants to listen here too.
        """
        reading = self._pools.reading
        return self.engine if reading is None else reading.engine

    @property
    def async_engines(self) -> list[AsyncEngine]:
        """The `AsyncEngine`s that exist by now: `engine`, and `read_engine` once it is made."""
        return [bind.engine for bind in self._pools.of_sessions]

    def distrust(self) -> None:
        """Have all sessions connect anew: the server is gone, or has another role."""
        self._pools.distrust()

    @property
    def prober(self) -> AsyncEngine:
        """An `AsyncEngine` for looks at the server, in AUTOCOMMIT, on a pool of its own.

        A full pool does not hide a server that is well, and sessions do not wait for looks.
        """
        self.enter_loop()
        if "pool" in self.config.engine_kwargs:
            return self.bound(Access.READ)
        return self._pools.probing.engine

    def observe_commits(self, observer: CommitObserver) -> None:
        """Have somebody told of each COMMIT of a session that may write.

        Args:
            observer: Who.
        """
        self._pools.observers.append(observer)

    def forget_observer(self, observer: CommitObserver) -> None:
        """Tell somebody no more.

        Args:
            observer: Who was given to `observe_commits`.
        """
        self._pools.observers.remove(observer)

    def on_loss(self, call: Callable[[], None]) -> None:
        """Have somebody told when a connection is found to be lost, and who was told before not.

        Args:
            call: Called without more ado, wherever that is found.
        """
        self._pools.on_loss = call

    def _options(self, access: Access) -> Mapping[str, Any]:
        if access is Access.SNAPSHOT:
            return {OPTION: access, **self._policy.snapshot_options()}
        if access is Access.READ or self.config.read_only:
            return {OPTION: Access.READ, **self._policy.view_options()}
        return self._policy.access_options(access)

    def bound(self, access: Access) -> AsyncEngine:
        """Answer the `AsyncEngine` that sessions of a kind work on.

        Args:
            access: How they may be used.
        """
        engine = self._bound.get(access)
        if engine is None:
            engine = self._bound[access] = self._new_bound(access)
        return engine

    def _new_bound(self, access: Access) -> AsyncEngine:
        reading = self._pools.reading if access is Access.READ else None
        if reading is not None:
            return reading.engine
        options = self._options(access)
        return self.engine.execution_options(**options) if options else self.engine

    def autocommits(self, access: Access) -> bool:
        """Tell whether the statements of sessions of a kind each stand for themselves.

        Args:
            access: How they may be used.
        """
        return access is Access.READ and self._pools.reading is not None

    def _new_maker(self, access: Access) -> async_sessionmaker[AsyncSession]:
        info = session_info(self.name, access, autocommit=self.autocommits(access))
        arguments = maker_arguments(self.config.session_kwargs, session_class(access), info)
        arguments.setdefault("bind", self.bound(access))
        maker = async_sessionmaker(**arguments)
        self._makers[access] = maker
        return maker

    @property
    def open_connections(self) -> int:
        """Connections that are open right now, in use or not, of all pools."""
        return sum(len(bind.open) for bind in self._pools.of_sessions)

    @property
    def checked_out(self) -> int:
        """Connections in use right now; 0 for a pool that does not count them."""
        return sum(bind.checked_out for bind in self._pools.of_sessions)

    @property
    def demand(self) -> int:
        """Connections in use right now, and sessions that wait for one."""
        return sum(bind.demand for bind in self._pools.of_sessions)

    @property
    def is_saturated(self) -> bool:
        """Whether a new session would have to wait for a connection."""
        return any(bind.is_saturated for bind in self._pools.of_sessions)

    @property
    def pool_limits(self) -> tuple[int, int] | None:
        """Connections that a pool keeps, and may open beyond; `None` for one without a bound."""
        return self._pools.main.pool_limits

    @property
    def pools(self) -> int:
        """Pools that sessions use: one, or two where some read only and others write.

        Where none may write, snapshots and `sessionmaker` use the second one.
        """
        if self.only_read and Access.SNAPSHOT not in self._makers:
            return 1
        return len(self._pools.of_sessions)

    def prepare(self, access: Access) -> None:
        """Make what sessions of a kind will use, so that it is known beforehand; opens nothing.

        Args:
            access: How the sessions may be used.
        """
        if access not in self._makers:
            self._new_maker(access)

    def session(self, access: Access) -> AsyncSession:
        """Make a session. The caller ends it with `end_session`.

        Args:
            access: How it may be used.

        Raises:
            RuntimeError: The engine is in use by another event loop that is still running.
        """
        self.enter_loop()
        maker = self._makers.get(access) or self._new_maker(access)
        # As calling it does, which goes through all arguments to merge them with none.
        session = maker.class_(**maker.kw)
        if access is Access.MANUAL:
            watch_manual(session)
        return session

    def enter_loop(self) -> None:
        """Bind the engine to the running event loop, leaving an earlier one.

        Raises:
            RuntimeError: The earlier loop is still running, in another thread.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        previous, self._loop = self._loop, loop
        if previous is None:
            return
        if previous.is_running():
            self._loop = previous
            raise RuntimeError(
                f"database {self.name!r} is in use by another running event loop; give each loop "
                "a Database of its own"
            )
        self._pools.leave_loop(previous)

    async def max_connections(self) -> int | None:
        """Ask how many connections the server accepts; `None` where that means nothing."""
        self.enter_loop()
        async with self._probed.engine.connect() as connection:
            return await self._policy.max_connections(connection)

    async def probe(self) -> None:
        """Run `SELECT 1`, past the pool if the pool is exhausted: a busy server is not a dead one.

        Raises:
            SQLAlchemyError: The database does not answer.
        """
        self.enter_loop()
        if not self.is_saturated:
            async with self._probed.engine.connect() as connection:
                await connection.exec_driver_sql("SELECT 1")
            return
        engine = unpooled_engine(self.config, self.name, self._policy)
        async with engine.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")

    @property
    def _probed(self) -> Bind:
        """The pool that is asked for the database's health: a reader's, if only readers are served.

        A probe that opened the other pool would cost a connection that nobody needs.
        """
        return (self._pools.reading if self.only_read else None) or self._pools.main

    async def dispose(self) -> None:
        """Close every idle connection; those in use are closed when they come back.

        An in-memory SQLite database ends here. Disposing twice does nothing more.

        Raises:
            RuntimeError: The engine is in use by another event loop that is still running.
        """
        self.enter_loop()
        try:
            await self._pools.dispose()
        finally:
            self._policy.close()


def create_engine(config: DatabaseConfig, *, name: str = "primary") -> Engine:
    """Make an engine for a database. No connection is opened yet.

    Args:
        config: The database.
        name: Its name, as errors and the pool report it. Default `"primary"`.

    Returns:
        The engine. Its owner calls `await engine.dispose()`.

    Raises:
        ConfigurationError: The driver is not installed; the message names the extra.
    """
    return Engine(config, name=name)
