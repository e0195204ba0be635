"""The few places where HawkAPI's public API does not reach.

Each function uses a private name of HawkAPI 0.2 and says what happens where that name is missing.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from hawkapi import HawkAPI, Request, Response, Route
from hawkapi.middleware import Middleware

__all__ = [
    "answer_of_application",
    "handler_of_application",
    "insert_innermost",
    "insert_into_routes",
    "is_handled",
    "mounted_applications",
]

logger = logging.getLogger("hawkapi_sqlalchemy")

type ExceptionHandler = Callable[[Request, Exception], Any]


def _exception_handlers(app: HawkAPI) -> Mapping[type[Exception], ExceptionHandler]:
    return getattr(app, "_exception_handlers", {})


def handler_of_application(
    app: HawkAPI, error: Exception, own: ExceptionHandler
) -> ExceptionHandler | None:
    """Find the handler that the application registered for an error.

    HawkAPI asks handlers in the order of their registration, so ours, which `init_database`
    registers early, must let later ones go first. Without the private table ours always answers.

    Args:
        app: The application.
        error: The error.
        own: Our own handler, which does not count.
    """
    for kind, handler in _exception_handlers(app).items():
        if handler is not own and isinstance(error, kind):
            return handler
    return None


def is_handled(app: HawkAPI, kind: type[Exception]) -> bool:
    """Tell whether the application has a handler for exactly this class of errors.

    HawkAPI would replace it by a second one. Without the private table nobody knows, and ours
    replaces it.

    Args:
        app: The application.
        kind: The class.
    """
    return kind in _exception_handlers(app)


async def answer_of_application(
    app: HawkAPI, request: Request, error: Exception, fallback: ExceptionHandler
) -> Response:
    """Answer an error as HawkAPI answers one that a handler raised.

    Plugins hear of it and the application's exception handlers are asked. Without the private
    method the fallback answers.

    Args:
        app: The application.
        request: The request.
        error: The error.
        fallback: Our own handler.
    """
    handle = getattr(app, "_handle_exception", None)
    response: Any = await handle(request, error) if handle is not None else fallback(request, error)
    if inspect.isawaitable(response):
        response = await response
    return response


def insert_innermost(outermost: Middleware, gate: type[Middleware]) -> None:
    """Put a middleware behind all others of the application.

    Those that are added after ours stand between it and the handlers. One with an
    `after_response` hook holds the whole response back until the background tasks have run: only
    from behind it can a response still be replaced before they do. The chain is followed by
    `Middleware.app`; where it ends, or a middleware hides what is inside it, is as far as we get.

    Args:
        outermost: Our middleware, where the chain is followed from.
        gate: The middleware to insert, where there is another one to stand behind.
    """
    last = outermost
    while isinstance(last.app, Middleware) and hasattr(last.app, "app"):
        last = last.app
    if last is not outermost:
        last.app = gate(last.app)


def mounted_applications(app: HawkAPI) -> list[HawkAPI]:
    """List the HawkAPI applications that are mounted in another, those inside them included.

    Without the private table none are found: their errors are then answered by HawkAPI itself.

    Args:
        app: The outer application.
    """
    mounts: Mapping[str, object] = getattr(app, "_mounts", {})
    inner = [each for each in mounts.values() if isinstance(each, HawkAPI)]
    return [each for one in inner for each in (one, *mounted_applications(one))]


def insert_into_routes(routes: list[Route], gate: type[Middleware]) -> None:
    """Put a middleware behind those of each route that has its own.

    They stand inside everything that `insert_innermost` can reach, with the same consequence.
    Routes are frozen and HawkAPI offers no way to change one, hence the detour.

    Args:
        routes: The routes; those without middleware stay as they are.
        gate: The middleware to insert.
    """
    for route in routes:
        if route.middleware and gate not in route.middleware:
            object.__setattr__(route, "middleware", (*route.middleware, gate))
