"""The pytest plugin that begins and ends a run, and multiplies tests by dialect."""

import os
from typing import Any

import pytest

from dbservers.run import Run

RUN = pytest.StashKey[Run]()
DIALECTS = ("sqlite", "postgresql", "mariadb")
# Fixtures which need a server.
_SERVER_FIXTURES = frozenset(
    {"own_server", "own_cluster", "spare_cluster", "replicated", "database_server"}
)
_WORKER_INPUT = "dbservers_run"


def pytest_configure(config: pytest.Config) -> None:
    """Begin a run, or in a worker of pytest-xdist join the controller's."""
    config.addinivalue_line(
        "markers", "dialects(*names): the databases the test is for, by default all"
    )
    worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.stash[RUN] = Run.join(worker_input[_WORKER_INPUT]) if worker_input else Run.new()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist which run it belongs to."""
    node.workerinput[_WORKER_INPUT] = node.config.stash[RUN].description


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell with `-v` what the servers took to start."""
    if config.get_verbosity() > 0:
        for name, seconds in config.stash[RUN].timings().items():
            terminalreporter.write_line(f"{name}: {seconds:.2f} s")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run, if it began here."""
    run = config.stash.get(RUN, None)
    if run is not None and not hasattr(config, "workerinput"):
        run.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Multiply a test that uses `dialect` by the dialects it is for."""
    if "dialect" in metafunc.fixturenames:
        wanted = DIALECTS
        if marker := metafunc.definition.get_closest_marker("dialects"):
            wanted = marker.args
        if unknown := set(wanted) - set(DIALECTS):
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: no dialects {sorted(unknown)}")
        if not _SERVER_FIXTURES.isdisjoint(metafunc.fixturenames):
            wanted = tuple(name for name in wanted if name != "sqlite")
        if not wanted:
            raise pytest.UsageError(f"{metafunc.definition.nodeid}: no dialect is left to test")
        metafunc.parametrize("dialect", wanted, indirect=True)


def is_ci() -> bool:
    """Tell whether the environment says CI."""
    return os.environ.get("CI", "").lower() not in {"", "0", "false", "no", "off"}
