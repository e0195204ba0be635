"""A user's project, and the run of its tests in a fresh interpreter."""

from collections.abc import Callable

import pytest

from user_project import APP, INI


@pytest.fixture
def where(request: pytest.FixtureRequest, dialect: str) -> str:
    """What `--hawkapi-database` is to be; databases are made on the shared server."""
    return "sqlite" if dialect == "sqlite" else request.getfixturevalue("database_server").url()


@pytest.fixture
def left_behind(request: pytest.FixtureRequest, dialect: str) -> Callable[[str], list[str]]:
    """Ask which databases of a run are left on the server."""

    def names(prefix: str = "hawkapi_test_") -> list[str]:
        if dialect == "sqlite":
            return []
        server = request.getfixturevalue("database_server")
        sql = {
            "postgresql": "SELECT datname FROM pg_database",
            "mariadb": "SHOW DATABASES",
        }[dialect]
        return [name for (name,) in server.execute(sql) if name.startswith(prefix)]

    return names


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with an application `shop.app`, and warnings as errors."""
    # Its run is one of its own, not one of this run's workers.
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "HAWKAPI_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(shop=APP)
    pytester.makeini(INI)
    return pytester
