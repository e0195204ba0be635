"""One request as the middleware sees it: what it receives, and the unit of work it asks for."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from hawkapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.errors import SessionEndedError
from hawkapi_sqlalchemy.core.web.state import DatabaseState
from hawkapi_sqlalchemy.core.web.unit_of_work import UnitOfWork

__all__ = ["EXCHANGE", "Exchange", "Message"]

EXCHANGE = "hawkapi_sqlalchemy.exchange"
"""The key of the request's `Exchange` in the ASGI scope."""

type Message = dict[str, Any]


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
