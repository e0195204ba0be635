"""COMMIT before the response: the middleware that owns a request's unit of work."""

from __future__ import annotations

from typing import Any

from hawkapi import Route
from hawkapi.middleware import Middleware
from hawkapi.plugins import Plugin

from hawkapi_sqlalchemy.core.routing.freshness import current_freshness
from hawkapi_sqlalchemy.core.web._hawkapi import (
    insert_innermost,
    insert_into_routes,
    mounted_applications,
)
from hawkapi_sqlalchemy.core.web.client_positions import TokenGate
from hawkapi_sqlalchemy.core.web.exchange import EXCHANGE, Exchange
from hawkapi_sqlalchemy.core.web.gate import ResponseReplaced, Scope, inner_gate, outer_gate
from hawkapi_sqlalchemy.core.web.problems import register_error_handlers
from hawkapi_sqlalchemy.core.web.state import STATE, DatabaseState

__all__ = ["CommitGate", "DatabaseMiddleware", "RouteGates"]


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
        tokens: TokenGate | None = None
        if state.client_positions is not None or (
            # The writes of a mounted application are none of the databases around it.
            state.is_mounted and current_freshness.get() is not None
        ):
            tokens = TokenGate(state.client_positions, scope, send)
            send = tokens.send
        exchange = scope[EXCHANGE] = outer_gate(state, receive, send)
        state.in_flight += 1
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except* ResponseReplaced:
            # Also out of a group, in which a mounted application's task group wraps it.
            pass
        finally:
            exchange.sealed = True
            try:
                # Nothing is open here after a normal response. After an exception, a cancellation
                # or an application that never answered, this ends the unit of work.
                if exchange.work is not None:
                    await exchange.work.finish()
            finally:
                state.in_flight -= 1
                if tokens is not None:
                    tokens.leave()


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
            await self.app(scope, receive, inner_gate(exchange, send).send)
        except* ResponseReplaced:
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
    of their own inside it. An application with a database of its own learns that it is mounted.
    """
    for app in mounted_applications(state.app):
        own: DatabaseState | None = vars(app).get(STATE)
        if own is not None:
            own.is_mounted = True
        elif app not in state.adopted:
            state.adopted.add(app)
            app.add_middleware(CommitGate)
            insert_into_routes(app.routes, CommitGate)
            register_error_handlers(app)
