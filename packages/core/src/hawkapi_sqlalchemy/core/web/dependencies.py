"""The dependencies that give a handler its session."""

from __future__ import annotations

import inspect
import logging
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

from hawkapi import HawkAPI, HTTPException, Request
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.access import Access, access_for
from hawkapi_sqlalchemy.core.errors import DatabaseNotConfiguredError
from hawkapi_sqlalchemy.core.names import PRIMARY, REPLICA
from hawkapi_sqlalchemy.core.web.exchange import EXCHANGE, Exchange, RequestWork
from hawkapi_sqlalchemy.core.web.setup import resolve_database

__all__ = [
    "SessionDependency",
    "get_replica_session",
    "get_session",
    "get_split_session",
    "open_session",
    "session_for",
]

logger = logging.getLogger("hawkapi_sqlalchemy")


class _NoDatabaseError(DatabaseNotConfiguredError, HTTPException):
    """Answered as a 500 that says what to do: no error handler of ours is registered here."""

    def __init__(self) -> None:
        HTTPException.__init__(
            self,
            500,
            "This application has no database: call init_database(app, url=...) before it serves "
            "requests.",
        )


def _work(request: Request) -> RequestWork:
    exchange: Exchange | None = request.scope.get(EXCHANGE)
    if exchange is None:
        error = _NoDatabaseError()
        logger.error("%s %s: %s", request.method, request.path, error.detail)
        raise error
    return exchange.begin(request)


def _dependency[**P](
    function: Callable[P, Generator[AsyncSession, None, AsyncSession]],
) -> Callable[P, Awaitable[AsyncSession]]:
    """Make a generator function a dependency that code may also await.

    HawkAPI resumes a dependency that is a generator only when the handler has returned; after an
    exception it closes it, or forgets it. That is how a request learns of an exception that is
    answered below 400. But `await get_session(request)` has nobody to resume it. So HawkAPI is
    shown a signature in which `_resumed` is `True` by default, and passes that on, as it does with
    every default; who calls by hand leaves it out, and gets the session at once.
    """
    signature = inspect.signature(function)
    shown = [
        each.replace(default=True) if each.name == "_resumed" else each
        for each in signature.parameters.values()
    ]
    dependency: Any = types.coroutine(function)
    dependency.__signature__ = signature.replace(parameters=shown)
    return dependency


@_dependency
def get_session(
    request: Request, *, _resumed: bool = False
) -> Generator[AsyncSession, None, AsyncSession]:
    """Answer the request's writing session on the primary database.

    Every dependency of a request that asks for it gets the same session. It is committed before
    the response leaves; when that fails, the client gets an error instead of the response. An
    exception, a time-out, a cancellation, a disconnected client, or a response with a status of
    400 or above rolls back. The session ends with the response.

    Args:
        request: The request, given by HawkAPI.

    Raises:
        DatabaseNotConfiguredError: `init_database` was not called for the application.
        SessionEndedError: The response has already begun.

    Example:
        ```python
        @app.post("/users")
        async def create(email: str, session: AsyncSession = Depends(get_session)):
            session.add(User(email=email))
        ```
    """
    work = _work(request)
    session = work.session(PRIMARY, Access.WRITE)
    if _resumed:
        work.unfinished += 1
        yield session
        work.unfinished -= 1
    return session


@_dependency
def get_replica_session(
    request: Request, *, _resumed: bool = False
) -> Generator[AsyncSession, None, AsyncSession]:
    """Answer the request's read-only session, on the replica where there is one.

    Without a registered `"replica"` it reads from the primary. In both cases the server refuses
    its writes, so that a handler behaves the same on the day a replica is added. Each statement
    stands for itself: `SET LOCAL`, and row-level security that reads it, needs
    `session_for(..., commit=False, snapshot=True)`.

    Args:
        request: The request, given by HawkAPI.

    Raises:
        DatabaseNotConfiguredError: `init_database` was not called for the application.
        SessionEndedError: The response has already begun.
    """
    work = _work(request)
    session = work.session(REPLICA, Access.READ)
    if _resumed:
        work.unfinished += 1
        yield session
        work.unfinished -= 1
    return session


@_dependency
def get_split_session(
    request: Request, *, _resumed: bool = False
) -> Generator[AsyncSession, None, AsyncSession]:
    """Answer the request's session that reads from a replica until it writes.

    For handlers that mostly read, and write now and then. Its statements go to one replica until
    the first flush, the first statement that stores or locks something, or the first that might: a
    `SELECT` with a part written as text, or with a function that is not well-known. From then on
    all go to the primary, in one transaction, which is committed as that of `get_session` is. What
    the replica refuses as a write all the same is done there too. Who asks for both sessions in one
    request gets one, on the primary.

    What was read before the first write is the replica's state, which may be older than the
    primary's: read again with `with_for_update()` what a write depends on, or have a version
    column. Without replicas it is the session of `get_session`.

    Args:
        request: The request, given by HawkAPI.

    Raises:
        DatabaseNotConfiguredError: `init_database` was not called for the application.
        SessionEndedError: The response has already begun.
    """
    work = _work(request)
    session = work.split_session()
    if _resumed:
        work.unfinished += 1
        yield session
        work.unfinished -= 1
    return session


class SessionDependency:
    """A dependency for one database's session; made by `session_for`.

    Attributes:
        name: The database's name.
        commit: Whether the session is committed with the request.
        access: How the session may be used.
    """

    __slots__ = ("access", "commit", "name")

    def __init__(self, name: str, *, commit: bool, snapshot: bool) -> None:
        self.name = name
        self.commit = commit
        self.access = access_for(commit=commit, snapshot=snapshot)

    @_dependency
    def __call__(
        self, request: Request, *, _resumed: bool = False
    ) -> Generator[AsyncSession, None, AsyncSession]:
        """Answer the request's session; see `session_for`."""
        work = _work(request)
        session = work.session(self.name, self.access)
        if _resumed:
            work.unfinished += 1
            yield session
            work.unfinished -= 1
        return session

    def __repr__(self) -> str:
        snapshot = ", snapshot=True" if self.access is Access.SNAPSHOT else ""
        return f"session_for({self.name!r}, commit={self.commit}{snapshot})"


def session_for(name: str, *, commit: bool = True, snapshot: bool = False) -> SessionDependency:
    """Make a dependency for the session of a named database.

    Args:
        name: The database's name.
        commit: Commit with the request, as `get_session` does. With `False` nothing is stored
            unless the handler commits by itself.
        snapshot: With `commit=False`: the session is read-only, and all its statements see one
            state of the data, that of its first. It costs a transaction, which other read-only
            sessions do without. Default `False`.

    Returns:
        The dependency, for `Depends(...)`. A name that is not registered is refused at start-up
        when the dependency commits, and at the request in any case; without commit it falls back
        to the primary, read-only and with a warning.

    Raises:
        ConfigurationError: `snapshot=True` together with `commit=True`.

    Example:
        ```python
        get_analytics = session_for("analytics", commit=False)
        ```
    """
    return SessionDependency(name, commit=commit, snapshot=snapshot)


@asynccontextmanager
async def open_session(app: HawkAPI | Any, *, name: str = PRIMARY) -> AsyncGenerator[AsyncSession]:
    """Open a session outside a request: in a script, a start-up hook, a background task.

    It commits when the block is left and rolls back on an exception.

    Args:
        app: The application, or `None` for the Database initialised last.
        name: The database's name. Default `"primary"`.

    Yields:
        The session.

    Raises:
        DatabaseNotConfiguredError: The application has no database.
        UnknownDatabaseError: The name is not registered.
    """
    async with resolve_database(app).session(name) as session:
        yield session
