"""The gates that hold a response's start: a COMMIT that fails replaces the response as a whole."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hawkapi import HawkAPI, Request, Response

from hawkapi_sqlalchemy.core.web._hawkapi import answer_of_application
from hawkapi_sqlalchemy.core.web.exchange import Exchange, Message, Receive, RequestWork
from hawkapi_sqlalchemy.core.web.problems import problem_response
from hawkapi_sqlalchemy.core.web.state import DatabaseState

__all__ = ["ResponseReplaced", "Scope", "Send", "inner_gate", "outer_gate"]

logger = logging.getLogger("hawkapi_sqlalchemy")

type Scope = MutableMapping[str, Any]
type Send = Callable[[Message], Awaitable[None]]


class ResponseReplaced(Exception):  # noqa: N818  # a signal, not an error
    """Stops whatever would follow a response that was never sent, background tasks above all."""


class OuterGate(Exchange):
    """The outermost gate of a request, and its exchange: one of each a request. See `outer_gate`.

    Attributes:
        onward: Where messages that pass go to.
        scope: The ASGI scope at the gate.
    """

    __slots__ = ("onward", "scope")

    onward: Send
    scope: Scope

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, the start of the response once the transaction has ended.

        Messages of a request that asked for no session pass untouched, at the price of one call
        and no coroutine.
        """
        if self.sealed:
            return self.onward(message)
        if message["type"] == "http.response.start":
            self.sealed = True
            if self.work is not None:
                return _end(self, self, self.work, self.scope, message)
        return self.onward(message)


class Gate:
    """A gate further inside; made by `inner_gate`.

    Attributes:
        exchange: The request's exchange.
        onward: Where messages that pass go to.
        scope: The ASGI scope at the gate.
    """

    __slots__ = ("exchange", "onward", "scope")

    exchange: Exchange
    onward: Send
    scope: Scope

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, the start of the response once the transaction has ended."""
        exchange = self.exchange
        if exchange.sealed:
            return self.onward(message)
        if message["type"] == "http.response.start":
            exchange.sealed = True
            if exchange.work is not None:
                return _end(self, exchange, exchange.work, self.scope, message)
        return self.onward(message)


# Every request makes these. They are filled from here because CPython 3.12 enters an `__init__` in
# a roundabout way, which takes longer than what it does.


def outer_gate(state: DatabaseState, scope: Scope, receive: Receive, send: Send) -> OuterGate:
    """Make the outermost gate of a request.

    Args:
        state: The application's databases.
        scope: The request's scope.
        receive: The server's `receive`.
        send: The server's `send`.
    """
    gate = OuterGate()
    gate.state = state
    gate.scope = scope
    gate.server_receive = receive
    gate.onward = send
    gate.sealed = False
    gate.work = None
    return gate


def inner_gate(exchange: Exchange, scope: Scope, send: Send) -> Gate:
    """Make a gate further inside.

    Args:
        exchange: The request's exchange.
        scope: The scope at the gate.
        send: What is outside the gate.
    """
    gate = Gate()
    gate.exchange = exchange
    gate.scope = scope
    gate.onward = send
    return gate


async def _drop(message: Message) -> None:
    """Stand for the way of a message whose response was replaced."""


async def _end(
    gate: Gate | OuterGate, exchange: Exchange, work: RequestWork, scope: Scope, start: Message
) -> None:
    state = exchange.state
    onward, gate.onward = gate.onward, _drop
    if work.unfinished:
        # The handler raised, also where that is answered below 400: a redirect, for instance.
        await work.rollback()
    elif work.writes and exchange.has_disconnected():
        logger.info("the client has gone before COMMIT: rolled back")
        await work.rollback()
    else:
        try:
            await (work.commit() if state.commit_when(start["status"]) else work.rollback())
        except Exception as error:
            response = await _failure(state.app, exchange, work, scope, error)
            await response(scope, exchange.receive, _without_body(scope, onward))
            raise ResponseReplaced from error
    # The gate that held the start lets the rest of this response pass.
    gate.onward = onward
    await onward(start)


def _without_body(scope: Scope, send: Send) -> Send:
    """Send the head of a response alone where the client asked for no more."""
    if scope["method"] != "HEAD":
        return send

    def send_head(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        return send(message)

    return send_head


async def _failure(
    app: HawkAPI, exchange: Exchange, work: RequestWork, scope: Scope, error: Exception
) -> Response:
    # The handler's own request where it is known: its body has been read, its path has parameters.
    request = work.request or Request(scope, exchange.receive)
    return await answer_of_application(app, request, error, lambda _, exc: problem_response(exc))
