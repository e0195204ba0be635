"""The unit of work of one request: its sessions, committed or rolled back together."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hawkapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.database import Database
from hawkapi_sqlalchemy.core.errors import PartialCommitError, SessionEndedError
from hawkapi_sqlalchemy.core.sessions import (
    commit_session,
    end_session,
    session_access,
    session_database,
)
from hawkapi_sqlalchemy.core.web.state import DatabaseState

__all__ = ["Exchange", "Message", "UnitOfWork"]

type Message = dict[str, Any]


class UnitOfWork:
    """The sessions that one request has asked for.

    One session a database and access, whoever asks for it. Writing sessions commit in the order
    in which they were first asked for.

    Args:
        database: The application's Database.
    """

    __slots__ = ("_database", "_sessions")

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sessions: dict[tuple[str, Access], AsyncSession] = {}

    def session(self, name: str, access: Access) -> AsyncSession:
        """Answer the request's session for a database and access.

        Args:
            name: The database's name.
            access: How the session may be used.

        Raises:
            UnknownDatabaseError: A writing session was asked for under an unknown name.
        """
        engine, access = self._database.resolve(name, access)
        key = (engine.name, access)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = engine.session(access)
        return session

    async def commit(self) -> None:
        """Commit the writing sessions in order; end all.

        Whatever happens, every session is ended and its connection back in the pool.

        Raises:
            PartialCommitError: A commit failed after others had held.
            Exception: The only commit, or the first, failed: nothing is stored.
        """
        try:
            writing = await self._end_reading()
            # Constraint violations show at the flush: with several databases all flush before the
            # first commits, which leaves only COMMIT itself to fail in between.
            if len(writing) > 1:
                for session in writing:
                    await session.flush()
            await self._commit_in_order(writing)
        finally:
            await self._end_all()

    async def _end_reading(self) -> list[AsyncSession]:
        # Readers go first: on an in-memory SQLite database a reader's lock would hold up the
        # commit of its own request.
        writing: list[AsyncSession] = []
        for session in self._sessions.values():
            if session_access(session) is Access.WRITE:
                writing.append(session)
            else:
                await end_session(session)
        return writing

    async def _commit_in_order(self, writing: list[AsyncSession]) -> None:
        committed: list[str] = []
        for position, session in enumerate(writing):
            name = session_database(session)
            try:
                await commit_session(session)
            except Exception as error:
                if not committed:
                    raise
                rest = [session_database(each) for each in writing[position + 1 :]]
                raise PartialCommitError(committed, name, rest) from error
            committed.append(name)

    async def rollback(self) -> None:
        """Roll back what is not committed, and end all sessions."""
        await self._end_all()

    async def _end_all(self) -> None:
        sessions = list(self._sessions.values())
        self._sessions.clear()
        failure: BaseException | None = None
        for session in sessions:
            try:
                await end_session(session)
            except BaseException as error:  # noqa: BLE001  # raised below
                # When cancelled, each release goes on by itself. The others must begin theirs all
                # the same, whatever it was.
                if failure is None or isinstance(error, asyncio.CancelledError):
                    failure = error
        if failure is not None:
            raise failure


class Exchange:
    """What the middleware keeps of one request; the unit of work exists once it is asked for.

    Args:
        state: The application's databases.
        receive: The server's `receive`.

    Attributes:
        replaced_at: The gate at which the response was held and not let pass: what still comes
            from inside it is dropped.
        request: The request that asked for a session last.
        sealed: The response has begun.
        unfinished: Dependencies that HawkAPI has not resumed, as it does once the handler has
            returned.
        work: The unit of work.
    """

    __slots__ = (
        "_receive",
        "_seen",
        "replaced_at",
        "request",
        "sealed",
        "state",
        "unfinished",
        "work",
    )

    def __init__(self, state: DatabaseState, receive: Callable[[], Awaitable[Message]]) -> None:
        self.state = state
        self.work: UnitOfWork | None = None
        self.request: Request | None = None
        self.sealed = False
        self.unfinished = 0
        self.replaced_at: object = None
        self._receive = receive
        self._seen: list[Message] | None = None

    async def receive(self) -> Message:
        """Receive the request's next message, those first that have only been looked at."""
        return self._seen.pop(0) if self._seen else await self._receive()

    def has_disconnected(self) -> bool:
        """Look whether the server has already reported that the client is gone.

        The server's `receive()` is asked for one step and not awaited: one that has nothing to
        report would keep it waiting. Only a native coroutine can be asked that way; other servers'
        (granian's) are not. A body that nobody has read yet comes first, as one message for all
        but the longest; it is kept for who wants to read it.
        """
        if not inspect.iscoroutinefunction(self._receive):
            return False
        seen: list[Message] = []
        for _ in range(2):
            message = _step(self._receive())
            if message is None:
                break
            seen.append(message)
        self._seen = seen
        return any(message["type"] == "http.disconnect" for message in seen)

    def session(self, request: Request, name: str, access: Access) -> AsyncSession:
        """Answer the request's session for a database and access.

        Args:
            request: Who asks.
            name: The database's name.
            access: How the session may be used.

        Raises:
            SessionEndedError: The response has begun, so nothing would be committed any more.
            UnknownDatabaseError: A writing session was asked for under an unknown name.
        """
        if self.sealed:
            raise SessionEndedError(
                "the response of this request has begun, and its transaction has ended; in a "
                "background task or a stream open a session of its own: "
                "`async with db.session() as session`"
            )
        self.request = request
        work = self.work
        if work is None:
            work = self.work = UnitOfWork(self.state.database)
        return work.session(name, access)


def _step(call: Coroutine[Any, Any, Message]) -> Message | None:
    """Take one step of a coroutine; answer what it returned, if that ended it."""
    try:
        call.send(None)
    except StopIteration as stop:
        return stop.value
    finally:
        call.close()
    return None
