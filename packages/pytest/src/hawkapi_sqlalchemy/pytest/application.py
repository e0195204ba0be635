"""A project's application, on the database of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from hawkapi import HawkAPI
from hawkapi.testing import TestClient

from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseNotConfiguredError,
    Engine,
    resolve_database,
)
from hawkapi_sqlalchemy.core.web.setup import visit_databases
from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError
from hawkapi_sqlalchemy.pytest.provisioning.references import load
from hawkapi_sqlalchemy.pytest.runtime import TestDatabase

__all__ = ["all_on", "check_initialised", "client_of", "find_application"]


def find_application(request: pytest.FixtureRequest, reference: str | None) -> HawkAPI:
    """Answer the application: the fixture `app`, or what is configured.

    Args:
        request: Of the fixture that wants it.
        reference: What the configuration names, an application or a function that makes one.
    """
    __tracebackhide__ = True
    try:
        app = request.getfixturevalue("app")
    except pytest.FixtureLookupError as error:
        if error.argname != "app":
            raise
        app = None
    if app is None:
        app = _configured(reference)
    if not isinstance(app, HawkAPI):
        pytest.fail(
            f"the application is a {type(app).__name__}, where a HawkAPI is expected", pytrace=False
        )
    return app


def _configured(reference: str | None) -> object:
    __tracebackhide__ = True
    if reference is None:
        pytest.fail(
            "there is no application to test: define a fixture `app` that answers it, or name it "
            "in pytest's configuration, for instance `hawkapi_app = shop.main:app`",
            pytrace=False,
        )
    problem = None
    try:
        app = load(reference, key="hawkapi_app")
    except ProvisioningError as error:
        app, problem = None, str(error)
    if problem is not None:
        pytest.fail(problem, pytrace=False)
    return app() if callable(app) and not isinstance(app, HawkAPI) else app


def check_initialised(app: HawkAPI) -> None:
    """Fail the test if an application has no database.

    Args:
        app: The application.
    """
    __tracebackhide__ = True
    problem = None
    try:
        resolve_database(app)
    except DatabaseNotConfiguredError as error:
        problem = str(error)
    if problem is not None:
        pytest.fail(f"the application has no database: {problem}", pytrace=False)


@contextmanager
def all_on(test: TestDatabase) -> Generator[None]:
    """Have every application use a test's database for the length of a block.

    Those that are initialised in the block too. Whoever holds one's `Database` gets sessions on the
    test's.

    Args:
        test: The test's database.
    """
    own: list[tuple[Database, dict[str, Engine]]] = []

    def switch(database: Database) -> None:
        own.append((database, dict(database.engines)))
        for name, engine in database.engines.items():
            test.add(name, engine.config)
        database.engines.update(test.database.engines)

    try:
        with visit_databases(switch):
            yield
    finally:
        for database, engines in own:
            database.engines.clear()
            database.engines.update(engines)


@contextmanager
def client_of(app: HawkAPI) -> Generator[TestClient]:
    """Provide a test client, and close the event loop that its synchronous calls have made.

    Args:
        app: The application.
    """
    client = TestClient(app)
    try:
        yield client
    finally:
        # A private name: HawkAPI's client has no end. Without it the loop is left to the garbage
        # collector, which warns.
        loop: asyncio.AbstractEventLoop | None = getattr(client, "_loop", None)
        if loop is not None and not loop.is_closed():
            loop.run_until_complete(_end_all())
            loop.close()


async def _end_all() -> None:
    """End what requests have left running."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
