"""A project's application, on the database of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from hawkapi import HawkAPI
from hawkapi.testing import TestClient

from hawkapi_sqlalchemy.core import DatabaseNotConfiguredError, replace_database, resolve_database
from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError
from hawkapi_sqlalchemy.pytest.provisioning.references import load
from hawkapi_sqlalchemy.pytest.runtime import TestDatabase

__all__ = ["client_of", "find_application", "on_test_database"]


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
        if reference is None:
            pytest.fail(
                "there is no application to test: define a fixture `app` that answers it, or name "
                "it in pytest's configuration, for instance `hawkapi_app = shop.main:app`",
                pytrace=False,
            )
        try:
            app = load(reference, key="hawkapi_app")
        except ProvisioningError as problem:
            pytest.fail(str(problem), pytrace=False)
        if not isinstance(app, HawkAPI) and callable(app):
            app = app()
    if not isinstance(app, HawkAPI):
        pytest.fail(
            f"the application is a {type(app).__name__}, where a HawkAPI is expected", pytrace=False
        )
    return app


@contextmanager
def on_test_database(app: HawkAPI, test: TestDatabase) -> Generator[None]:
    """Have an application use a test's database for the length of a block.

    Args:
        app: The application.
        test: The test's database.
    """
    __tracebackhide__ = True
    try:
        own = resolve_database(app)
    except DatabaseNotConfiguredError as error:
        pytest.fail(str(error), pytrace=False)
    for name, engine in own.engines.items():
        test.add(name, engine.config)
    with replace_database(app, test.database):
        yield


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
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
