"""What can be known of an application's routes before the first request."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any

from hawkapi import Depends, HawkAPI

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.database import Database
from hawkapi_sqlalchemy.core.errors import ConfigurationError
from hawkapi_sqlalchemy.core.names import REPLICA

__all__ = ["check_routes", "prepare_readers", "refuse_early_handlers"]


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # An annotation that cannot be evaluated is not one of ours.
        return {}


def _dependencies(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Walk all dependencies below a handler or dependency."""
    hints = _hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        metadata: tuple[Any, ...] = getattr(hints.get(name), "__metadata__", ())
        for marker in (parameter.default, *metadata):
            if isinstance(marker, Depends) and marker.dependency is not None:
                yield marker.dependency
                yield from _dependencies(marker.dependency)


def check_routes(app: HawkAPI, database: Database) -> None:
    """Refuse routes that would write to a database that is not registered.

    Args:
        app: The application.
        database: Its Database.

    Raises:
        UnknownDatabaseError: A dependency made by `session_for` commits to an unknown name.
    """
    from hawkapi_sqlalchemy.core.web.dependencies import SessionDependency

    for dependency in _all_dependencies(app):
        if isinstance(dependency, SessionDependency) and dependency.commit:
            database.check_writable(dependency.name)


def prepare_readers(app: HawkAPI, database: Database) -> None:
    """Make the pools that read-only sessions use beside writing ones, where a route wants them.

    No connection is opened. It is known by then what the pools together may open.

    Args:
        app: The application.
        database: Its Database.
    """
    from hawkapi_sqlalchemy.core.web.dependencies import SessionDependency, get_replica_session

    for dependency in _all_dependencies(app):
        if dependency is get_replica_session:
            name, access = REPLICA, Access.READ
        elif isinstance(dependency, SessionDependency) and not dependency.commit:
            name, access = dependency.name, dependency.access
        else:
            continue
        if name in database.engines or name == REPLICA:
            engine, access = database.resolve(name, access)
        else:
            # The request is warned of it.
            engine = database.get()
            access = access if access.is_read_only else Access.READ
        engine.prepare(access)


def _all_dependencies(app: HawkAPI) -> Iterator[Callable[..., Any]]:
    for route in app.routes:
        yield from _dependencies(route.handler)
        for plan in route.dependencies:
            yield plan.callable
            yield from _dependencies(plan.callable)


def refuse_early_handlers(app: HawkAPI) -> None:
    """Refuse handlers that take a Database but were registered before there was one.

    HawkAPI looks at a handler's parameters when its route is registered, and would take such a
    one for a query parameter.

    Args:
        app: The application.

    Raises:
        ConfigurationError: There is such a handler; the message names it.
    """
    for route in app.routes:
        if any(hint is Database for hint in _hints(route.handler).values()):
            raise ConfigurationError(
                f"the handler {route.name!r} takes a Database but was registered before "
                "init_database(app, ...); call init_database first"
            )
