"""`init_database`: an application gets its databases."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from hawkapi import HawkAPI

from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.database import Database
from hawkapi_sqlalchemy.core.errors import ConfigurationError, DatabaseNotConfiguredError
from hawkapi_sqlalchemy.core.names import PRIMARY
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.web.middleware import DatabaseMiddleware, RouteGates
from hawkapi_sqlalchemy.core.web.problems import register_error_handlers
from hawkapi_sqlalchemy.core.web.read_your_writes import ReadYourWrites
from hawkapi_sqlalchemy.core.web.readiness import register_readiness
from hawkapi_sqlalchemy.core.web.routes import check_routes, prepare_readers, refuse_early_handlers
from hawkapi_sqlalchemy.core.web.startup import Startup
from hawkapi_sqlalchemy.core.web.state import STATE, CommitWhen, DatabaseState, is_success

__all__ = ["init_database", "resolve_database", "visit_databases"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_last: weakref.ref[Database] | None = None
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_visitors: list[Callable[[Database], None]] = []


type Configs = Mapping[str, DatabaseConfig | Sequence[DatabaseConfig]]


def _configs(url: str | None, config: DatabaseConfig | None, databases: Configs | None) -> Configs:
    given = [
        name
        for name, value in (("url", url), ("config", config), ("databases", databases))
        if value is not None
    ]
    if len(given) != 1:
        found = f"got {' and '.join(f'{name}=' for name in given)}" if given else "got none"
        raise ConfigurationError(
            f"init_database takes exactly one of url=, config= and databases=; {found}"
        )
    if databases is not None:
        return databases
    return {PRIMARY: DatabaseConfig(url) if url is not None else config}  # pyright: ignore[reportReturnType]  # one of the two is given


def init_database(
    app: HawkAPI,
    *,
    url: str | None = None,
    config: DatabaseConfig | None = None,
    databases: Configs | None = None,
    replicas: ReplicaPolicy | None = None,
    read_your_writes: ReadYourWrites | None = None,
    commit_when: CommitWhen = is_success,
    readiness: bool = True,
    startup_timeout: float | None = 10.0,
    drain_timeout: float = 10.0,
    workers: int | None = None,
) -> Database:
    """Give an application its databases. No connection is opened yet.

    Call it before the routes are registered. It adds the middleware that commits before the
    response leaves, error responses for database errors, a check for `/readyz`, and hooks that
    look at the databases at start-up and drain them at shut-down. `app.state.db` becomes the
    Database, and handlers (WebSocket handlers too) may take it as a parameter `db: Database`.

    Called again for the same application it replaces the Database; both are disposed at
    shut-down.

    Args:
        app: The application.
        url: The URL of the only database.
        config: The configuration of the only database.
        databases: Configurations by name; `"primary"` must be among them. `"replica"` may have a
            list of them.
        replicas: When a replica serves, and what happens when none does. Default:
            `ReplicaPolicy()`.
        read_your_writes: Clients see what they have written on their next request too, also where
            replicas answer it. Default `None`: that is up to the replicas.
        commit_when: Decides by the response's status whether the request's transaction is
            committed. Default: below 400.
        readiness: Register a readiness check named `"database"`. Default `True`.
        startup_timeout: Seconds that start-up waits for the primary to answer before it fails;
            the other databases only get a warning. `None` asks no database. Default 10.
        drain_timeout: Seconds that shut-down waits for requests and connections to come back.
            Default 10.
        workers: Processes that serve this application, for the warning when their pools together
            exceed the server's `max_connections`. Default: `WEB_CONCURRENCY`, or 1.

    Returns:
        The Database.

    Raises:
        ConfigurationError: Not exactly one of `url`, `config` and `databases`; no primary; a URL
            with a sync driver, or one that is not installed; a handler that takes a `Database`
            was registered before; or the application shares its container with another one.
    """
    global _last  # noqa: PLW0603  # `resolve_database(None)` is a process-wide question
    database = Database.from_configs(_configs(url, config, databases))
    state: DatabaseState | None = vars(app).get(STATE)
    if state is None:
        refuse_early_handlers(app)
        if app.container.has(Database):
            raise ConfigurationError(
                "this application's container already leads to another application's Database; "
                "give each application a container of its own"
            )
        state = vars(app)[STATE] = DatabaseState(app, database)
        _attach(app, state, readiness=readiness)
    else:
        logger.warning("init_database was called again for the same application")
    database.use_replicas(
        replicas,
        tokens=read_your_writes is not None,
        wait=0.0 if read_your_writes is None else read_your_writes.wait,
    )
    state.use(
        database,
        commit_when=commit_when,
        startup_timeout=startup_timeout,
        drain_timeout=drain_timeout,
        workers=workers,
        read_your_writes=read_your_writes,
    )
    namespace: Any = getattr(app, "state", None)
    if namespace is None:
        # HawkAPI 0.2 has no application state of its own.
        namespace = SimpleNamespace()
        setattr(app, "state", namespace)  # noqa: B010  # not an attribute that HawkAPI declares
    namespace.db = database
    _last = weakref.ref(database)
    _databases.add(database)
    for visit in _visitors:
        visit(database)
    return database


@contextmanager
def visit_databases(visit: Callable[[Database], None]) -> Generator[None]:
    """Call a function for the Database of every application, now and as they are initialised.

    Args:
        visit: What to call, until the block is left.
    """
    _visitors.append(visit)
    try:
        for database in list(_databases):
            visit(database)
        yield
    finally:
        _visitors.remove(visit)


def _attach(app: HawkAPI, state: DatabaseState, *, readiness: bool) -> None:
    app.add_middleware(DatabaseMiddleware, state=state)
    app.add_plugin(RouteGates())
    register_error_handlers(app)
    app.container.transient(Database, factory=lambda: state.database)
    if readiness:
        register_readiness(app, state)
    startup = Startup(state)

    @app.on_startup
    async def start_databases() -> None:
        check_routes(app, state.database)
        prepare_readers(app, state.database)
        await startup()

    @app.on_shutdown
    async def drain_databases() -> None:
        await state.drain()

    del start_databases, drain_databases


def resolve_database(app: Any = None) -> Database:
    """Answer an application's Database.

    Args:
        app: The application, as `request.scope.get("app")` gives it. `None`, the default, answers
            the Database that was initialised last in this process.

    Returns:
        The Database.

    Raises:
        DatabaseNotConfiguredError: `init_database` was not called for the application. Another
            application's Database is never given instead.
    """
    if app is not None:
        database = getattr(getattr(app, "state", None), "db", None)
        if isinstance(database, Database):
            return database
        raise DatabaseNotConfiguredError(
            f"{type(app).__name__} has no database; call init_database(app, url=...) first"
        )
    last = _last() if _last is not None else None
    if last is None:
        raise DatabaseNotConfiguredError(
            "no application has a database; call init_database(app, url=...) first"
        )
    return last
