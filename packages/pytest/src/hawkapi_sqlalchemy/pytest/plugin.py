"""The pytest plugin: fixtures, options, and what happens when.

pytest imports this module before it measures coverage and for every run, also of projects that use
none of it: so it imports nothing but pytest, and the rest where it is needed.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from hawkapi import HawkAPI
    from hawkapi.testing import TestClient
    from sqlalchemy import MetaData
    from sqlalchemy.ext.asyncio import AsyncSession

    from hawkapi_sqlalchemy.core import Database
    from hawkapi_sqlalchemy.pytest.callbacks import CapturedCallback
    from hawkapi_sqlalchemy.pytest.queries import QueryRecorder
    from hawkapi_sqlalchemy.pytest.run import TestRun as Run
    from hawkapi_sqlalchemy.pytest.runtime import Runtime, TestDatabase

    type CaptureOnCommit = Callable[..., AbstractContextManager[list[CapturedCallback]]]

_RUN: pytest.StashKey[Run] = pytest.StashKey()
_TEST_DATABASE: pytest.StashKey[TestDatabase] = pytest.StashKey()
_MARKER = (
    "hawkapi_db(real_commits=False): with real_commits=True the test gets a database of its own, "
    "with ordinary connections, instead of a transaction that is rolled back"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and configuration keys."""
    from hawkapi_sqlalchemy.pytest import migration_tests, settings

    settings.add_options(parser)
    migration_tests.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the configuration; refuse what is none."""
    from hawkapi_sqlalchemy.pytest.migration_tests import add_migration_tests
    from hawkapi_sqlalchemy.pytest.run import TestRun

    config.addinivalue_line("markers", _MARKER)
    run = config.stash[_RUN] = TestRun.of(config)
    on_server = not run.settings.database.startswith("sqlite")
    add_migration_tests(config, database=run.empty_database if on_server else None)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say where the databases are, if not in memory."""
    database = config.stash[_RUN].settings.database
    # Of a URL without its user and password.
    shown = database.rpartition("@")[2] if "@" in database else database
    return None if database == "sqlite" else f"hawkapi-sqlalchemy: databases on {shown}"


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the session, which may have to be ended."""
    session.config.stash[_RUN].session = session


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist which run it belongs to."""
    node.workerinput.update(node.config.stash[_RUN].for_workers())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """What begins from now on was not begun by the test's fixtures."""
    database = item.stash.get(_TEST_DATABASE, None)
    if database is not None:
        database.call_begins()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the run has started."""
    run = config.stash.get(_RUN, None)
    if run is not None:
        run.close()


@pytest.fixture(scope="session")
def hawkapi_metadata(pytestconfig: pytest.Config) -> Sequence[MetaData]:
    """The metadata of the models whose tables the test database has.

    From the configuration key `hawkapi_metadata`; without it, that of `Base` and `DataclassBase`.
    A project may define a fixture of this name that answers a `MetaData`, or several.
    """
    return pytestconfig.stash[_RUN].metadata()


@pytest.fixture(scope="session")
def hawkapi_database_url(_hawkapi_runtime: Runtime) -> str:
    """The URL of the database that the tests of this process share.

    It has the schema. What is stored in it is not rolled back.
    """
    return _hawkapi_runtime.url()


@pytest.fixture(scope="session")
def _hawkapi_runtime(request: pytest.FixtureRequest) -> Generator[Runtime]:
    run = request.config.stash[_RUN]
    with run.runtime(lambda: request.getfixturevalue("hawkapi_metadata")) as runtime:
        yield runtime


@pytest.fixture
def _hawkapi_test_database(
    request: pytest.FixtureRequest, _hawkapi_runtime: Runtime
) -> Generator[TestDatabase]:
    node: pytest.Item = request.node
    run = request.config.stash[_RUN]
    test = run.begin(_hawkapi_runtime, node)
    from hawkapi_sqlalchemy.pytest.application import all_on

    node.stash[_TEST_DATABASE] = test
    try:
        with all_on(test):
            yield test
    finally:
        del node.stash[_TEST_DATABASE]
        run.end(test)


@pytest.fixture
def hawkapi_db(_hawkapi_test_database: TestDatabase) -> Database:
    """A `Database` that holds the schema and, after each test, nothing of what the test did."""
    return _hawkapi_test_database.database


@pytest.fixture
def hawkapi_session(_hawkapi_test_database: TestDatabase) -> Generator[AsyncSession]:
    """A session on the test's primary database, for async tests.

    What the application's requests committed it sees, and they see what it committed. It is closed
    after the test.
    """
    with _hawkapi_test_database.session() as session:
        yield session


@pytest.fixture
def hawkapi_app(request: pytest.FixtureRequest, _hawkapi_test_database: TestDatabase) -> HawkAPI:
    """The application, on the test's database.

    It is the project's fixture `app`, or what the configuration key `hawkapi_app` names. Each of
    its databases leads to the test's; read-only ones stay read-only.
    """
    from hawkapi_sqlalchemy.pytest.application import check_initialised, find_application

    del _hawkapi_test_database
    app = find_application(request, request.config.stash[_RUN].settings.app)
    check_initialised(app)
    return app


@pytest.fixture
def hawkapi_client(hawkapi_app: HawkAPI) -> Generator[TestClient]:
    """HawkAPI's test client for `hawkapi_app`, for sync and async tests."""
    from hawkapi_sqlalchemy.pytest.application import client_of

    with client_of(hawkapi_app) as client:
        yield client


@pytest.fixture
def hawkapi_queries(hawkapi_db: Database) -> QueryRecorder:
    """Counts and lists what the test's Database is sent; see `QueryRecorder`."""
    from hawkapi_sqlalchemy.pytest.queries import QueryRecorder

    return QueryRecorder(hawkapi_db)


@pytest.fixture
def hawkapi_on_commit(hawkapi_db: Database) -> CaptureOnCommit:
    """Captures the callbacks that follow a COMMIT; see `capture_on_commit`.

    It is a function: `with hawkapi_on_commit(run=False) as callbacks:`.
    """
    from hawkapi_sqlalchemy.pytest.callbacks import capture_on_commit

    del hawkapi_db
    return capture_on_commit
