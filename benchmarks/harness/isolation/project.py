"""Runs of pytest in the project that all ways share."""

import json
import resource
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from harness.environments import Environment, clean_variables
from harness.errors import BenchmarkError
from harness.isolation.catalogue import OUR_PLUGIN, PLUGINS, Way
from harness.isolation.statistics import CLOSING, WARM_UP
from harness.paths import BENCHMARKS

_FOLDER = BENCHMARKS / "isolation"
_PROJECT = _FOLDER / "project"
_CONFIGURATION = ("-c", str(_PROJECT / "pytest.ini"), f"--rootdir={_PROJECT}")
_NO_TESTS = 5
_PATIENCE = 300.0
_LINES_SHOWN = 15


def environment() -> Environment:
    """The environment of the project."""
    return Environment("isolation", _FOLDER / "requirements.txt", ours=True)


@dataclass(frozen=True)
class Run:
    """What a run told.

    Attributes:
        seconds: Of each test, in their order.
        packages: The versions of what it ran on.
    """

    seconds: list[float]
    packages: dict[str, str]


def run(python: Path, folder: Path, way: Way, *, database: str, url: str, tests: int) -> Run:
    """Run tests in one way, in a new process.

    Args:
        python: The interpreter of `environment()`.
        folder: An empty one, where the run may leave files.
        way: How tests are kept apart.
        database: The kind of database; ours starts a server of its own for the run, as for users.
        url: An empty database, for the other ways.
        tests: How many tests are to count; a few more are run.

    Raises:
        BenchmarkError: Not every test passed.
    """
    tests += WARM_UP + CLOSING
    record = folder / "record.json"
    argv = [
        *_CONFIGURATION,
        *_without(set(PLUGINS) - {way.plugin}),
        *_where(way, database, url),
        *("-q", f"--tests={tests}", f"--record={record}", str(_PROJECT / f"test_{way.name}.py")),
    ]
    status, said = _pytest(python, argv, folder)
    found: dict[str, Any] = json.loads(record.read_text()) if record.exists() else {}
    if status or found.get("passed") != tests or len(found["seconds"]) != tests:
        tail = "\n  ".join(said.strip().splitlines()[-_LINES_SHOWN:])
        raise BenchmarkError(f"{way.title}, on {database}: not every test passed:\n  {tail}")
    return Run(found["seconds"], found["packages"])


def _where(way: Way, database: str, url: str) -> list[str]:
    if way.plugin == OUR_PLUGIN:
        return [f"--hawkapi-database={database}"]
    if way.plugin is None:
        return [f"--url={url}"]
    on = make_url(url)
    parts = {"host": on.host, "port": on.port, "user": on.username, "password": on.password}
    options = (("-o", f"postgresql_{name}={value}") for name, value in parts.items())
    return [f"--url={url}", *(word for option in options for word in option)]


def start_seconds(python: Path, folder: Path, *, with_plugin: bool) -> float:
    """Start pytest where there are no tests; answer its CPU time.

    Args:
        python: The interpreter of `environment()`.
        folder: An empty one.
        with_plugin: Whether our plugin is loaded.

    Raises:
        BenchmarkError: pytest did not say that there are no tests.
    """
    left_out = set(PLUGINS) - ({OUR_PLUGIN} if with_plugin else set())
    # A project of nobody: no conftest, no configuration.
    argv = ["-q", "-p", "no:cacheprovider", f"--rootdir={folder}", *_without(left_out), str(folder)]
    before = _children_seconds()
    status, said = _pytest(python, argv, folder)
    seconds = _children_seconds() - before
    if status != _NO_TESTS:
        raise BenchmarkError(f"pytest did not start:\n{said}")
    return seconds


def _without(plugins: Iterable[str]) -> list[str]:
    return [word for name in sorted(plugins) for word in ("-p", f"no:{name}")]


def _pytest(python: Path, arguments: list[str], folder: Path) -> tuple[int, str]:
    try:
        ended = subprocess.run(
            [str(python), "-m", "pytest", *arguments],
            cwd=folder,
            env=clean_variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"pytest did not end within {_PATIENCE:g} s") from None
    return ended.returncode, ended.stdout


def _children_seconds() -> float:
    # The only child that ends meanwhile is the one that is timed.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
