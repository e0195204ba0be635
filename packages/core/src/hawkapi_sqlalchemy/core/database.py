"""The databases of an application, by name."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.access import Access, access_for
from hawkapi_sqlalchemy.core.closing import dispose_all, until_unused
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.ending import commit_session, end_session
from hawkapi_sqlalchemy.core.names import PRIMARY, named_singly
from hawkapi_sqlalchemy.core.registered import Registered
from hawkapi_sqlalchemy.core.retries import run_with_retries

__all__ = ["Database"]


class Database(Registered):
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
