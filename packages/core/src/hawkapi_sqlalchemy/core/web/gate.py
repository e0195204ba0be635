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
    """

    __slots__ = ("onward",)

    onward: Send

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
                return _end(self, self, self.work, message)
        return self.onward(message)


class Gate:
    """A gate further inside; made by `inner_gate`.

    Attributes:
        exchange: The request's exchange.
        onward: Where messages that pass go to.
    """

    __slots__ = ("exchange", "onward")

    exchange: Exchange
    onward: Send

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, the start of the response once the transaction has ended."""
        exchange = self.exchange
        if exchange.sealed:
            return self.onward(message)
        if message["type"] == "http.response.start":
            exchange.sealed = True
            if exchange.work is not None:
                return _end(self, exchange, exchange.work, message)
        return self.onward(message)


# Every request makes these. They are filled from here because CPython 3.12 enters an `__init__` in
# a roundabout way, which takes longer than what it does.


def outer_gate(state: DatabaseState, receive: Receive, send: Send) -> OuterGate:
    """Make the outermost gate of a request.

    Args:
        state: The application's databases.
        receive: The server's `receive`.
        send: The server's `send`.
    """
    gate = OuterGate()
    gate.state = state
    gate.server_receive = receive
    gate.onward = send
    gate.sealed = False
    gate.work = None
    return gate


def inner_gate(exchange: Exchange, send: Send) -> Gate:
    """Make a gate further inside.

    Args:
        exchange: The request's exchange.
        send: What is outside the gate.
    """
    gate = Gate()
    gate.exchange = exchange
    gate.onward = send
    return gate


async def _drop(message: Message) -> None:
    """Stand for the way of a message whose response was replaced."""


async def _end(
    gate: Gate | OuterGate, exchange: Exchange, work: RequestWork, start: Message
) -> None:
    state = exchange.state
    # The handler's own: its body has been read, its path has parameters.
    request = work.request
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
            response = await _failure(state.app, request, error)
            onward = onward if request.method != "HEAD" else _without_body(onward)
            await response(request.scope, exchange.receive, onward)
            raise ResponseReplaced from error
    # The gate that held the start lets the rest of this response pass.
    gate.onward = onward
    await onward(start)


def _without_body(send: Send) -> Send:
    """Send the head of a response alone, for who asked for no more."""

    def send_head(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        return send(message)

    return send_head


async def _failure(app: HawkAPI, request: Request, error: Exception) -> Response:
    return await answer_of_application(app, request, error, lambda _, exc: problem_response(exc))
