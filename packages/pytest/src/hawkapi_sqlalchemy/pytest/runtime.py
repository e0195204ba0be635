"""The databases of the tests that one process runs."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from sqlalchemy import URL, event
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import Database, DatabaseConfig, Engine, create_engine
from hawkapi_sqlalchemy.pytest.isolation.engines import SharedEngine
from hawkapi_sqlalchemy.pytest.isolation.transaction import SharedTransaction
from hawkapi_sqlalchemy.pytest.portal import Portal
from hawkapi_sqlalchemy.pytest.provisioning.homes import Home

__all__ = ["Runtime", "TestDatabase"]

_POOL_ARGUMENTS = frozenset(
    {
        "async_creator",
        "connect_args",
        "creator",
        "isolation_level",
        "max_overflow",
        "pool",
        "pool_logging_name",
        "pool_pre_ping",
        "pool_recycle",
        "pool_reset_on_return",
        "pool_size",
        "pool_timeout",
        "pool_use_lifo",
        "poolclass",
    }
)
"""What an application says of its connections, and a test's has no use for."""


class Runtime:
    """Gives each test its Database.

    Args:
        home: Where the process's database is.
        portal: Runs what is asynchronous. It is not closed here.
    """

    def __init__(self, home: Home, portal: Portal) -> None:
        self._home = home
        self._portal = portal
        self._transaction = SharedTransaction()
        self._engines: dict[str, SharedEngine] = {}

    def begin(self, *, real_commits: bool) -> TestDatabase:
        """Provide a test's Database. The caller calls `end` on it.

        Args:
            real_commits: The test gets a database of its own, with ordinary connections.

        Raises:
            ProvisioningError: It cannot be made.
        """
        if real_commits:
            return CopiedDatabase(self._home, self._portal)
        return SharedDatabase(self, self._home.prepare())

    def url(self) -> str:
        """Answer the URL of the process's database, with its password.

        Raises:
            ProvisioningError: It cannot be made.
        """
        return self._home.prepare().render_as_string(hide_password=False)

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine to its end."""
        self._portal.run(work)

    def shared_engine(self, name: str, config: DatabaseConfig) -> SharedEngine:
        """Answer an engine on the test's transaction; kept for later tests, as it costs time."""
        engine = self._engines.get(name)
        if engine is None or engine.config != config:
            engine = SharedEngine(config, self._transaction, self._portal, name=name)
            self._engines[name] = engine
        return engine

    @property
    def transaction(self) -> SharedTransaction:
        """The transaction of the test that is running."""
        return self._transaction

    def end_shared(self) -> str | None:
        """Roll back what a test did; make the database anew if that does not undo it.

        Returns:
            Why the test cannot have passed, or `None`.
        """
        clean, connected = self._portal.run(self._transaction.end_test())
        if not clean and connected:
            self._portal.run(self._transaction.close())
        if not (clean and connected):
            for engine in self._engines.values():
                engine.forget_connections()
        if not clean:
            self._home.restore()
        return self._transaction.problem

    def close(self) -> None:
        """Close the connection, and remove everything that was made."""
        try:
            self._portal.run(self._transaction.close())
        finally:
            self._home.close()


class TestDatabase:
    """One test's Database, and how it ends.

    Attributes:
        database: The Database.
    """

    __test__ = False

    def __init__(self, url: URL) -> None:
        self.database = Database()
        self._url = url
        self.add("primary", DatabaseConfig(url))

    def add(self, name: str, config: DatabaseConfig) -> None:
        """Register a name, or configure it otherwise: it leads to the test's database.

        Args:
            name: The name.
            config: An application's configuration. What it says of sessions and types holds; of
                where and how to connect nothing does.
        """
        self.database.engines[name] = self._engine(name, _for_tests(config, self._url))

    def _engine(self, name: str, config: DatabaseConfig) -> Engine:
        raise NotImplementedError

    def session(self) -> AbstractContextManager[AsyncSession]:
        """Provide a session on the primary that nobody commits but the test."""
        raise NotImplementedError

    def call_begins(self) -> None:
        """The test's fixtures are made; now it runs."""

    def end(self) -> str | None:
        """Undo all that the test did.

        Returns:
            Why the test cannot have passed, or `None`.
        """
        raise NotImplementedError

    def follow_engine(self, session: AsyncSession) -> None:
        """Have a session use the primary as it is configured when the session needs it.

        Args:
            session: One that was made before, perhaps, the application was known.
        """

        def get_bind(*_: Any, **__: Any) -> Any:
            engine = self.database.get()
            engine.enter_loop()
            return engine.sessionmaker.kw["bind"].sync_engine

        session.sync_session.get_bind = get_bind


class SharedDatabase(TestDatabase):
    """One in which all that a test does is one transaction.

    Args:
        runtime: Provides engines and the transaction.
        url: The process's database.
    """

    def __init__(self, runtime: Runtime, url: URL) -> None:
        self._runtime = runtime
        runtime.transaction.begin_test()
        super().__init__(url)

    def _engine(self, name: str, config: DatabaseConfig) -> Engine:
        return self._runtime.shared_engine(name, config)

    @contextmanager
    def session(self) -> Generator[AsyncSession]:
        """Provide a session; the test's end rolls it back."""
        session = self.database.get().sessionmaker()
        self.follow_engine(session)
        try:
            yield session
        finally:
            # Its connection belongs to no loop of the test's.
            self._runtime.run(session.close())

    def call_begins(self) -> None:
        """The test's fixtures are made; now it runs."""
        self._runtime.transaction.is_setting_up = False

    def end(self) -> str | None:
        """Roll back."""
        return self._runtime.end_shared()


class CopiedDatabase(TestDatabase):
    """One that is a copy of its own, with ordinary connections.

    Args:
        home: Provides the copy.
        portal: Runs what is asynchronous.
    """

    def __init__(self, home: Home, portal: Portal) -> None:
        self._portal = portal
        self._copy = ExitStack()
        self._engines: list[Engine] = []
        self._sessions: list[AsyncSession] = []
        super().__init__(self._copy.enter_context(home.clone()))

    def _engine(self, name: str, config: DatabaseConfig) -> Engine:
        engine = create_engine(config, name=name)
        self._engines.append(engine)
        # A session that is made before a loop runs connects in the test's, and the engine has to
        # know which that is.
        event.listen(engine.engine.sync_engine, "connect", lambda *_: engine.enter_loop())
        return engine

    @contextmanager
    def session(self) -> Generator[AsyncSession]:
        """Provide a session; the end of the copy is its end."""
        session = self.database.get().sessionmaker()
        self.follow_engine(session)
        self._sessions.append(session)
        yield session

    def end(self) -> None:
        """Close the connections, and remove the copy."""
        with self._copy:
            for engine in self._engines:
                # Where the test's loop has ended, its connections are given up.
                self._portal.run(engine.dispose())
            for session in self._sessions:
                # The garbage collector would warn of a connection that has not come back.
                session.sync_session.invalidate()


def _for_tests(config: DatabaseConfig, url: URL) -> DatabaseConfig:
    settings: Any = config.connect_args.get("server_settings")
    same_driver = config.dialect == url.get_backend_name()
    engine_kwargs = {
        name: value for name, value in config.engine_kwargs.items() if name not in _POOL_ARGUMENTS
    }
    return replace(
        config,
        url=url,
        password=None,
        pgbouncer=False,
        connect_args={"server_settings": settings} if settings and same_driver else {},
        engine_kwargs=engine_kwargs,
    )
