"""One request as the middleware sees it: what it receives, and the unit of work it asks for."""

from __future__ import annotations

import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hawkapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.database import Database
from hawkapi_sqlalchemy.core.errors import SessionEndedError
from hawkapi_sqlalchemy.core.web.state import DatabaseState
from hawkapi_sqlalchemy.core.web.unit_of_work import UnitOfWork

__all__ = ["EXCHANGE", "Exchange", "Message", "Receive", "RequestWork"]

EXCHANGE = "hawkapi_sqlalchemy.exchange"
"""The key of the request's `Exchange` in the ASGI scope."""

type Message = dict[str, Any]
type Receive = Callable[[], Awaitable[Message]]


class RequestWork(UnitOfWork):
    """The unit of work of a request that has asked for a session.

    Args:
        database: The application's Database.
        request: The request that asks.

    Attributes:
        request: The request that asked last; gone once it has ended.
        seen: Messages from the client that were looked at, for who wants to receive them.
        unfinished: Dependencies that HawkAPI has not resumed, as it does once the handler has
            returned.
        writes: Somebody asked for a session that is committed with the request.
    """

    __slots__ = ("request", "seen", "unfinished", "writes")

    def __init__(self, database: Database, request: Request) -> None:
        super().__init__(database)
        self.request = request
        self.seen: list[Message] = []
        self.unfinished = 0
        self.writes = False

    def session(self, name: str, access: Access) -> AsyncSession:
        """Answer the request's session for a database and access.

        Args:
            name: The database's name.
            access: How the session may be used.

        Raises:
            UnknownDatabaseError: A writing session was asked for under an unknown name.
        """
        if access is Access.WRITE:
            self.writes = True
        return super().session(name, access)

    def split_session(self) -> AsyncSession:
        """Answer the request's session that reads from a replica until it writes."""
        self.writes = True
        return super().split_session()

    async def finish(self) -> None:
        """End what is open, and let go of the request.

        The request leads to this object through its scope; a circle of the two would wait for the
        garbage collector.
        """
        del self.request
        if self._sessions:
            await self.rollback()


class Exchange:
    """What the middleware keeps of one request; the unit of work exists once it is asked for.

    Attributes:
        state: The application's databases.
        server_receive: The server's `receive`.
        sealed: The response has begun.
        work: The unit of work.
    """

    __slots__ = ("sealed", "server_receive", "state", "work")

    state: DatabaseState
    server_receive: Receive
    sealed: bool
    work: RequestWork | None

    def receive(self) -> Awaitable[Message]:
        """Receive the request's next message, those first that have only been looked at."""
        work = self.work
        if work is not None and work.seen:
            return _answer(work.seen.pop(0))
        return self.server_receive()

    def begin(self, request: Request) -> RequestWork:
        """Answer the request's unit of work.

        Args:
            request: Who asks.

        Raises:
            SessionEndedError: The response has begun, so nothing would be committed any more.
        """
        if self.sealed:
            raise SessionEndedError(
                "the response of this request has begun, and its transaction has ended; in a "
                "background task or a stream open a session of its own: "
                "`async with db.session() as session`"
            )
        work = self.work
        if work is None:
            work = self.work = RequestWork(self.state.database, request)
        else:
            work.request = request
        return work

    def has_disconnected(self) -> bool:
        """Look whether the server has already reported that the client is gone.

        The server's `receive()` is asked for one step and not awaited: one that has nothing to
        report would keep it waiting. Only a native coroutine can be asked that way; other servers'
        (granian's) are not. A body that nobody has read yet comes first, as one message for all
        but the longest; it is kept for who wants to read it.
        """
        receive: Any = self.server_receive
        while isinstance(outer := getattr(receive, "__self__", None), Exchange):
            # The application is mounted in another one that has databases.
            receive = outer.server_receive
        if self.work is None or not _is_native(receive):
            return False
        seen = self.work.seen
        while len(seen) < 2:  # a body, and what follows it
            call: Coroutine[Any, Any, Message] = receive()
            try:
                call.send(None)
            except StopIteration as stop:
                message: Message = stop.value
            else:
                call.close()
                return False
            seen.append(message)
            if message["type"] == "http.disconnect":
                return True
        return False


async def _answer(message: Message) -> Message:
    return message


def _is_native(receive: Any) -> bool:
    """Tell whether calling it makes a native coroutine."""
    code = getattr(getattr(receive, "__func__", receive), "__code__", None)
    if code is not None:
        # What `inspect` answers, at a twentieth of the price.
        return bool(code.co_flags & inspect.CO_COROUTINE)
    # What is not written in Python, granian's for one, is told without `inspect` too.
    return not isinstance(receive, types.BuiltinFunctionType) and inspect.iscoroutinefunction(
        receive
    )
