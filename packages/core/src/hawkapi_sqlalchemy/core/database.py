"""The databases of an application, by name."""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.access import Access, access_for
from hawkapi_sqlalchemy.core.closing import dispose_all, until_unused
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.ending import commit_session, end_session
from hawkapi_sqlalchemy.core.engine import Engine, create_engine
from hawkapi_sqlalchemy.core.errors import (
    ConfigurationError,
    UnknownDatabaseError,
    UnknownDatabaseWarning,
)
from hawkapi_sqlalchemy.core.names import PRIMARY, REPLICA, is_replica, named_singly
from hawkapi_sqlalchemy.core.retries import run_with_retries
from hawkapi_sqlalchemy.core.routing.configured import ReplicaRouting
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.replica_status import ReplicaStatus
from hawkapi_sqlalchemy.core.sources import SessionSource

__all__ = ["Database"]


class Database:
    """Engines by name, and sessions on them.

    Attributes:
        engines: The registered engines, by name, in the order in which they were added.

    Example:
        ```python
        db = Database()
        db.add("primary", DatabaseConfig("sqlite+aiosqlite:///app.db"))
        async with db.session() as session:
            session.add(User(email="ada@example.org"))
        await db.dispose()
        ```
    """

    def __init__(self) -> None:
        self.engines: dict[str, Engine] = {}
        self._replication = ReplicaRouting(self.engines)

    @classmethod
    def from_configs(
        cls, configs: Mapping[str, DatabaseConfig | Sequence[DatabaseConfig]]
    ) -> Database:
        """Make a Database of several configurations.

        Args:
            configs: Name to configuration; `"primary"` must be among them. `"replica"` may have
                several, whose engines are `replica:0`, `replica:1`, ...

        Raises:
            ConfigurationError: There is no primary, or a value is not a configuration.
        """
        database = cls()
        for name, config in named_singly(configs):
            database.add(name, config)
        return database

    @property
    def replicas(self) -> Mapping[str, ReplicaStatus]:
        """Each replica's state, lag and load as this process knows them, by its engine's name.

        Reading them asks nobody. They are looked at from the application's start-up on, or from
        the first session of a replica. Replicas at the primary's own address are not among them.
        """
        reads = self._replication.reads
        return {} if reads is None else reads.replicas.status

    def use_replicas(
        self, policy: ReplicaPolicy | None = None, *, tokens: bool = False, wait: float = 0.0
    ) -> None:
        """Say how replicas are used; before the first session.

        Args:
            policy: When a replica serves, and what happens when none does.
            tokens: Find out after each COMMIT of a request where it has led the primary.
            wait: Seconds that a session may wait for a replica to catch up with what its client has
                written.
        """
        self._replication.configure(policy or ReplicaPolicy(), tokens=tokens, wait=wait)

    async def start_replicas(self) -> None:
        """Look at the replicas from now on, and not only from their first session on.

        Returns once each has been looked at, whatever was found.
        """
        reads = self._replication.reads
        if reads is not None:
            await reads.replicas.look()

    def add(self, name: str, config: DatabaseConfig) -> Engine:
        """Register a database. No connection is opened yet.

        Args:
            name: Its name. `"primary"` is the default of every session, `"replica"` is what
                read-only sessions use where there is one.
            config: The database.

        Returns:
            Its engine.

        Raises:
            ConfigurationError: The name is taken, the value is not a `DatabaseConfig`, or the
                driver is not installed.
        """
        if name in self.engines:
            raise ConfigurationError(f"a database is already registered as {name!r}")
        if not isinstance(config, DatabaseConfig):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise ConfigurationError(
                f"database {name!r} needs a DatabaseConfig, not {type(config).__name__}"
            )
        engine = create_engine(config, name=name)
        self.engines[name] = engine
        # At once: commits may come before the first session of a replica.
        self._replication.refresh()
        return engine

    def get(self, name: str = PRIMARY) -> Engine:
        """Answer an engine by name.

        Args:
            name: The database's name. Default `"primary"`.

        Returns:
            Its engine; of several replicas the first one's; for a name that is not registered the
            primary's, with an `UnknownDatabaseWarning`.

        Raises:
            UnknownDatabaseError: Neither the name nor a primary is registered.
        """
        engine = self.engines.get(name)
        if engine is not None:
            return engine
        if name == REPLICA and (several := self._replicas):
            return several[0]
        primary = self.engines.get(PRIMARY)
        if primary is None:
            raise UnknownDatabaseError(name, list(self.engines))
        if name != REPLICA:
            warnings.warn(
                f"no database is registered as {name!r}; answered with {PRIMARY!r}",
                UnknownDatabaseWarning,
                stacklevel=2,
            )
        return primary

    def check_writable(self, name: str) -> None:
        """Check that a session that may be a writing one can be opened under a name.

        Args:
            name: The database's name.

        Raises:
            UnknownDatabaseError: The name is not registered.
        """
        if name not in self.engines and not (name == REPLICA and self._replicas):
            raise UnknownDatabaseError(name, list(self.engines))

    @property
    def _replicas(self) -> list[Engine]:
        return [engine for name, engine in self.engines.items() if is_replica(name)]

    def open(self, name: str = PRIMARY, *, access: Access = Access.WRITE) -> AsyncSession:
        """Open a session that the caller ends, for code that is itself a unit of work.

        Args:
            name: The database's name.
            access: How the session may be used. Of a replica, and of an unknown name that falls
                back to the primary, it is read-only whatever is asked.

        Raises:
            UnknownDatabaseError: A writing session was asked for under an unknown name.
        """
        engine, access = self.resolve(name, access)
        return engine.session(access)

    def open_split(self) -> AsyncSession:
        """Open a session that reads from a replica until it writes; the caller ends it.

        Without replicas it is a plain writing session of the primary.
        """
        reads = self._replication.reads
        return self.open() if reads is None else reads.split_session()

    def resolve(self, name: str, access: Access) -> tuple[SessionSource, Access]:
        """Answer what makes the sessions of a name, and how they may be used.

        Args:
            name: The name asked for.
            access: The access asked for.

        Returns:
            An engine, or the replicas; and the access asked for; for a replica, a `read_only`
            database, and a name that falls back to the primary, a read-only one in any case.

        Raises:
            UnknownDatabaseError: A writing session was asked for under an unknown name.
        """
        if name == REPLICA and (reads := self._replication.reads) is not None:
            return reads, access if access.is_read_only else Access.READ
        engine = self.engines.get(name)
        if engine is None:
            if access is Access.WRITE:
                self.check_writable(name)
            # What it falls back to was not asked for, and is not written to.
            engine, only_read = self.get(name), True
        else:
            only_read = engine.only_read
        if only_read and not access.is_read_only:
            access = Access.READ
        return engine, access

    @asynccontextmanager
    async def session(
        self, name: str = PRIMARY, *, commit: bool = True, snapshot: bool = False
    ) -> AsyncGenerator[AsyncSession]:
        """Open a session as a unit of work of its own.

        On leaving the block it commits; on an exception, or a cancellation, it rolls back. In both
        cases the connection is back in the pool and the session is sealed when the block is left.

        Args:
            name: The database's name. Default `"primary"`.
            commit: Commit at the end. With `False` nothing is stored unless the block calls
                `commit()` itself, and on SQLite no write lock is taken at the beginning. Under
                a name that is not registered such a session falls back to the primary, read-only.
            snapshot: With `commit=False`: the session is read-only, and all its statements see one
                state of the data, that of its first. Default `False`.

        Yields:
            The session.

        Raises:
            ConfigurationError: `snapshot=True` together with `commit=True`.
            UnknownDatabaseError: `commit=True` and the name is not registered.
        """
        session = self.open(name, access=access_for(commit=commit, snapshot=snapshot))
        try:
            yield session
            if commit:
                await commit_session(session)
        finally:
            await end_session(session)

    async def run[T](
        self,
        fn: Callable[[AsyncSession], Awaitable[T]],
        *,
        name: str = PRIMARY,
        attempts: int = 5,
        max_wait: float = 1.0,
        deadline: float = 30.0,
    ) -> T:
        """Run a function as a unit of work, and again when the server asks for it.

        Each run has a fresh session, committed at its end. Deadlocks, serialisation failures and
        lock time-outs, at a statement or at COMMIT, roll back and run `fn` anew; so `fn` must do
        nothing outside the database that may not happen twice (use `on_commit` for that). A lost
        connection is not retried: whether its COMMIT held cannot be known.

        Args:
            fn: `async def fn(session)`.
            name: The database's name. Default `"primary"`.
            attempts: How often `fn` may run. Default 5.
            max_wait: The longest pause between two runs, in seconds. Default 1.
            deadline: Seconds after the start when no further run begins. Default 30.

        Returns:
            What `fn` returned in the run that was committed.

        Raises:
            Exception: What the last run raised.
        """

        async def unit() -> T:
            async with self.session(name) as session:
                return await fn(session)

        return await run_with_retries(unit, attempts=attempts, max_wait=max_wait, deadline=deadline)

    @property
    def checked_out(self) -> int:
        """Connections in use right now, over all databases."""
        registered = sum(engine.checked_out for engine in self.engines.values())
        return registered + self._replication.checked_out

    async def drain(
        self, timeout: float = 10.0, *, busy: Callable[[], bool] = lambda: False
    ) -> bool:
        """Wait until no connection is in use, then dispose every engine.

        Args:
            timeout: Seconds to wait. Default 10. What is still in use then is closed when it
                comes back.
            busy: Tells of other work to wait for.

        Returns:
            Whether everything had come back in time.

        Raises:
            ExceptionGroup: Engines that could not be disposed; the others are.
        """
        drained = await until_unused(lambda: self.checked_out, timeout, busy=busy)
        await self.dispose()
        return drained

    async def dispose(self) -> None:
        """Dispose every engine. One failure does not stop the rest.

        Raises:
            ExceptionGroup: What failed, after all have been tried.
        """
        await dispose_all(
            [self._replication.dispose, *(engine.dispose for engine in self.engines.values())]
        )
