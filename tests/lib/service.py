"""An application with a route for each kind of session, whose handlers can meet on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any

from hawkapi import Depends, HawkAPI
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from asgi import DEADLINE, Reply, call
from hawkapi_sqlalchemy.core import (
    DatabaseConfig,
    get_replica_session,
    get_session,
    init_database,
    session_for,
)
from schema import Entry

__all__ = ["READERS", "SESSIONS", "WRITERS", "Request", "Service"]

SESSIONS: Mapping[str, Any] = {
    "session": get_session,
    "manual": session_for("primary", commit=False),
    "replica": get_replica_session,
    "snapshot": session_for("replica", commit=False, snapshot=True),
}
"""The dependencies, by the name of their routes: `GET /session`, `POST /manual`, ..."""
WRITERS = ("session", "manual")
READERS = ("session", "manual", "replica", "snapshot")

type Request = Callable[[], Awaitable[Reply]]

_PORT = {"postgresql": "SELECT inet_server_port()", "mysql": "SELECT @@port"}


class _Meeting:
    """Where requests wait for each other; one that fails on the way is not waited for."""

    def __init__(self, guests: int) -> None:
        self._expected = guests
        self._complete = asyncio.Event()

    async def arrive(self) -> None:
        self.count()
        await self._complete.wait()

    def count(self) -> None:
        self._expected -= 1
        if self._expected == 0:
            self._complete.set()


class _Guest:
    def __init__(self, meeting: _Meeting) -> None:
        self._meeting: _Meeting | None = meeting

    async def arrive(self) -> None:
        meeting, self._meeting = self._meeting, None
        if meeting is not None:
            await meeting.arrive()

    def leave(self) -> None:
        if self._meeting is not None:
            self._meeting.count()


_guest: ContextVar[_Guest | None] = ContextVar("guest", default=None)


class Service:
    """The application under test.

    Every kind of session has `GET /{kind}`, which counts the entries and answers the port of the
    server that did; `POST /{kind}?tag=...` of the writing ones stores an entry.

    Args:
        url: The database, which has the tables.
        **config: Fields of its `DatabaseConfig`.

    Attributes:
        app: The application.
        database: Its Database.
    """

    def __init__(self, url: str, **config: Any) -> None:
        self.app = HawkAPI()
        databases = {"primary": DatabaseConfig(url, **config)}
        self.database = init_database(self.app, databases=databases)
        for kind, dependency in SESSIONS.items():
            self._add_read(kind, dependency)
        for kind in WRITERS:
            self._add_insert(kind, SESSIONS[kind])

    def _add_read(self, kind: str, dependency: Any) -> None:
        @self.app.get(f"/{kind}", name=f"read-{kind}")
        async def read(session: AsyncSession = Depends(dependency)) -> dict:
            count = await session.scalar(select(func.count()).select_from(Entry))
            await _arrive()
            port = await session.scalar(text(_PORT[session.get_bind().dialect.name]))
            return {"entries": count, "port": port}

    def _add_insert(self, kind: str, dependency: Any) -> None:
        @self.app.post(f"/{kind}", name=f"insert-{kind}")
        async def insert(tag: str, session: AsyncSession = Depends(dependency)) -> dict:
            session.add(Entry(tag=tag))
            await session.flush()
            await _arrive()
            if kind == "manual":
                await session.commit()
            return {"stored": tag}

    def engine(self, kind: str) -> AsyncEngine:
        """The engine whose pool serves a kind of session."""
        engine = self.database.get()
        return engine.read_engine if kind == "replica" else engine.engine

    def read(self, kind: str) -> Request:
        """Make a request that reads."""
        return lambda: call(self.app, "GET", f"/{kind}")

    def insert(self, tag: str, kind: str = "session") -> Request:
        """Make a request that stores an entry."""
        return lambda: call(self.app, "POST", f"/{kind}", query=f"tag={tag}")

    async def at_once(self, *requests: Request) -> list[Reply]:
        """Send requests, each of which holds its connection until all others have one."""
        meeting = _Meeting(len(requests))

        async def send(request: Request) -> Reply:
            guest = _Guest(meeting)
            _guest.set(guest)
            try:
                return await request()
            finally:
                guest.leave()

        async with asyncio.timeout(2 * DEADLINE):
            return await asyncio.gather(*(send(each) for each in requests))

    async def fill(self, number: int, *kinds: str) -> None:
        """Open a number of connections in the pool of each kind of session."""
        for kind in kinds:
            replies = await self.at_once(*[self.read(kind)] * number)
            assert [each.status for each in replies] == [200] * number
            assert self.engine(kind).pool.checkedin() == number


async def _arrive() -> None:
    guest = _guest.get()
    if guest is not None:
        await guest.arrive()
