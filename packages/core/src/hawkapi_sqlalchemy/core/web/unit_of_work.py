"""The unit of work of one request: its sessions, committed or rolled back together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable

from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.database import Database
from hawkapi_sqlalchemy.core.ending import commit_session, end_session
from hawkapi_sqlalchemy.core.errors import PartialCommitError
from hawkapi_sqlalchemy.core.names import PRIMARY
from hawkapi_sqlalchemy.core.routing.route import read_together
from hawkapi_sqlalchemy.core.routing.split import stay_on_primary
from hawkapi_sqlalchemy.core.session_info import session_access, session_database

__all__ = ["UnitOfWork"]

logger = logging.getLogger("hawkapi_sqlalchemy")


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
            session = self._keep(key, engine.session(access))
        elif access is Access.WRITE:
            stay_on_primary(session)
        return session

    def split_session(self) -> AsyncSession:
        """Answer the request's session that reads from a replica until it writes.

        It is the writing session of the primary too: a request has one transaction there.
        """
        key = (PRIMARY, Access.WRITE)
        session = self._sessions.get(key)
        if session is None:
            session = self._keep(key, self._database.open_split())
        return session

    def _keep(self, key: tuple[str, Access], session: AsyncSession) -> AsyncSession:
        if self._sessions:
            read_together(session, self._sessions.values())
        self._sessions[key] = session
        return session

    def commit(self) -> Awaitable[None]:
        """Commit the writing sessions in order; end all.

        Whatever happens, every session is ended and its connection back in the pool.

        Raises:
            PartialCommitError: A commit failed after others had held.
            Exception: The only commit, or the first, failed: nothing is stored.
        """
        if len(self._sessions) == 1:
            return _commit_one(*self._sessions.popitem())
        return self._commit_all()

    async def _commit_all(self) -> None:
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
        cancelled: asyncio.CancelledError | None = None
        for position, session in enumerate(writing):
            name = session_database(session)
            failure: Exception | None = None
            try:
                await commit_session(session)
            except asyncio.CancelledError as error:
                cancelled = error
            except Exception as error:
                if not committed:
                    raise
                failure = error
            # A cancellation that comes when a COMMIT has held waits for the others too.
            if failure is None and (cancelled is None or not session.sync_session.in_transaction()):
                committed.append(name)
                continue
            rest = [session_database(each) for each in writing[position + 1 :]]
            partial = PartialCommitError(committed, name, rest)
            if cancelled is None:
                raise partial from failure
            if committed:
                # Nothing takes a cancellation's place.
                logger.error("a request was cancelled: %s", partial, exc_info=failure)
            break
        if cancelled is not None:
            raise cancelled

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


async def _commit_one(key: tuple[str, Access], session: AsyncSession) -> None:
    if key[1] is not Access.WRITE:
        await end_session(session)
        return
    try:
        await commit_session(session)
    except BaseException:
        await end_session(session)
        raise
