"""COMMIT before the response: the middleware that owns a request's unit of work."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from hawkapi import HawkAPI, Request, Response, Route
from hawkapi.middleware import Middleware
from hawkapi.plugins import Plugin

from hawkapi_sqlalchemy.core.web._hawkapi import (
    answer_of_application,
    insert_innermost,
    insert_into_routes,
    mounted_applications,
)
from hawkapi_sqlalchemy.core.web.exchange import EXCHANGE, Exchange, Message
from hawkapi_sqlalchemy.core.web.problems import problem_response, register_error_handlers
from hawkapi_sqlalchemy.core.web.state import STATE, DatabaseState
from hawkapi_sqlalchemy.core.web.unit_of_work import UnitOfWork

__all__ = ["CommitGate", "DatabaseMiddleware", "RouteGates"]

logger = logging.getLogger("hawkapi_sqlalchemy")

type Scope = MutableMapping[str, Any]
type Send = Callable[[Message], Awaitable[None]]


class _ResponseReplaced(Exception):  # noqa: N818  # a signal, not an error
    """Stops whatever would follow a response that was never sent, background tasks above all."""


class DatabaseMiddleware(Middleware):
    """Gives each request an exchange, and ends what the request leaves behind.

    The start of the response is held by a gate as far inside as it can be put: behind the
    middleware that was added later, where there is one. A second gate stands here, for what such
    a middleware answers by itself.

    Args:
        app: The next ASGI application.
        state: The application's databases.
    """

    def __init__(self, app: Any, *, state: DatabaseState) -> None:
        super().__init__(app)
        self._state = state
        self._owner = state.app
        insert_innermost(self, CommitGate)
        insert_into_routes(state.app.routes, CommitGate)
        _adopt(state)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        state = self._state
        # HawkAPI does not name itself in the scope; what looks the database up by it would end at
        # whichever application was initialised last.
        scope["app"] = self._owner
        exchange = scope[EXCHANGE] = Exchange(state, receive)
        state.in_flight += 1
        try:
            await self.app(scope, exchange.receive, _gate(exchange, scope, send))
        except* _ResponseReplaced:
            # Also out of a group, in which a mounted application's task group wraps it.
            pass
        finally:
            exchange.sealed = True
            try:
                # Nothing is open here after a normal response. After an exception, a cancellation
                # or an application that never answered, this ends the unit of work.
                if exchange.work is not None:
                    await exchange.work.rollback()
            finally:
                state.in_flight -= 1


class CommitGate(Middleware):
    """Holds the start of a response until the request's transaction has ended."""

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        exchange: Exchange | None = scope.get(EXCHANGE)
        if exchange is None:
            # A mounted application that is also served by itself, where nobody has a session.
            await self.app(scope, receive, send)
            return
        try:  # noqa: SIM105  # a context manager costs more than the rest of the gate
            await self.app(scope, receive, _gate(exchange, scope, send))
        except* _ResponseReplaced:
            pass


class RouteGates(Plugin):
    """Puts a gate behind the middleware of routes that are registered after `init_database`."""

    def on_route_registered(self, route: Route) -> Route:
        """Hear of a route.

        Args:
            route: The route.
        """
        insert_into_routes([route], CommitGate)
        return route


def _adopt(state: DatabaseState) -> None:
    """Give mounted applications without a database of their own the gate and the error answers.

    Their requests share the unit of work, and have background tasks, middleware and error handlers
    of their own inside it.
    """
    for app in mounted_applications(state.app):
        if app not in state.adopted and STATE not in vars(app):
            state.adopted.add(app)
            app.add_middleware(CommitGate)
            insert_into_routes(app.routes, CommitGate)
            register_error_handlers(app)


def _gate(exchange: Exchange, scope: Scope, send: Send) -> Send:
    """Wrap `send`: a COMMIT that fails replaces the response as a whole.

    Messages of a request that asked for no session pass through untouched, at the price of one
    call and no coroutine.
    """

    def gate(message: Message) -> Awaitable[None]:
        if exchange.sealed:
            return _nothing() if exchange.replaced_at is gate else send(message)
        if message["type"] == "http.response.start":
            exchange.sealed = True
            if exchange.work is not None:
                exchange.replaced_at = gate
                return _end(exchange.work, exchange, scope, send, message)
        return send(message)

    return gate


async def _nothing() -> None:
    """Stand for a message of a response that was replaced."""


async def _end(
    work: UnitOfWork, exchange: Exchange, scope: Scope, send: Send, start: Message
) -> None:
    state = exchange.state
    if exchange.unfinished:
        # The handler raised, also where that is answered below 400: a redirect, for instance.
        await work.rollback()
    elif exchange.has_disconnected():
        logger.info("the client has gone before COMMIT: rolled back")
        await work.rollback()
    else:
        try:
            await (work.commit() if state.commit_when(start["status"]) else work.rollback())
        except Exception as error:
            response = await _failure(state.app, exchange, scope, error)
            await response(scope, exchange.receive, _without_body(scope, send))
            raise _ResponseReplaced from error
    # The gate that held the start lets the rest of this response pass.
    exchange.replaced_at = None
    await send(start)


def _without_body(scope: Scope, send: Send) -> Send:
    """Send the head of a response alone where the client asked for no more."""
    if scope["method"] != "HEAD":
        return send

    def send_head(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        return send(message)

    return send_head


async def _failure(app: HawkAPI, exchange: Exchange, scope: Scope, error: Exception) -> Response:
    # The handler's own request where it is known: its body has been read, its path has parameters.
    request = exchange.request or Request(scope, exchange.receive)
    return await answer_of_application(app, request, error, lambda _, exc: problem_response(exc))
