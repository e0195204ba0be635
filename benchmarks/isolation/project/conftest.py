"""So many tests, and how long each of them took, as pytest reports it."""

import importlib.metadata
import json
from pathlib import Path

import pytest

import models

_PACKAGES = (
    "aiomysql",
    "aiosqlite",
    "asyncpg",
    "hawkapi-sqlalchemy",
    "psycopg",
    "pytest",
    "pytest-asyncio",
    "pytest-postgresql",
    "sqlalchemy",
)


def pytest_addoption(parser):
    parser.addoption("--tests", type=int, default=3, help="how many tests there are")
    parser.addoption("--record", type=Path, help="the file that tells how long they took")
    parser.addoption("--url", help="the database of ways that are given one")


def pytest_generate_tests(metafunc):
    metafunc.parametrize("number", range(metafunc.config.getoption("--tests")))


def pytest_configure(config):
    if config.getoption("--record"):
        config.pluginmanager.register(_Recorder(config.getoption("--record")))


class _Recorder:
    """Adds up set-up, call and tear-down."""

    def __init__(self, file):
        self._file = file
        self._seconds = {}
        self._passed = 0

    def pytest_runtest_logreport(self, report):
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        self._passed += report.when == "call" and report.passed

    def pytest_sessionfinish(self):
        found = {
            "seconds": list(self._seconds.values()),
            "passed": self._passed,
            "packages": _versions(),
        }
        self._file.write_text(json.dumps(found))


def _versions():
    found = {each.name.lower(): each.version for each in importlib.metadata.distributions()}
    return {name: found[name] for name in _PACKAGES if name in found}


@pytest.fixture(scope="session")
def hawkapi_metadata():
    return models.metadata


@pytest.fixture
def url(pytestconfig):
    return pytestconfig.getoption("--url")
