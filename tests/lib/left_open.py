"""The pytest plugin that fails a test which leaves an SQLite connection open.

Python 3.13 warns of such a connection when it is collected, which may be in any later test. Here
the test that opened it is told, on every version.
"""

import gc
import itertools
import sqlite3
import sqlite3.dbapi2
import threading
import time
import traceback
from collections.abc import Generator
from typing import Any
from unittest import mock

import pytest

_DEADLINE = 10.0
_connect = sqlite3.connect
_numbers = itertools.count()
_open: dict[int, tuple[str, str]] = {}
"""Of each open connection: its database, and where it was opened."""


class _Watched(sqlite3.Connection):
    _number: int | None = None

    def close(self) -> None:
        super().close()
        _open.pop(self._number, None)


def _watched(database: Any, *arguments: Any, **options: Any) -> sqlite3.Connection:
    if "factory" in options:
        return _connect(database, *arguments, **options)
    connection = _connect(database, *arguments, factory=_Watched, **options)
    connection._number = next(_numbers)
    stack = "".join(traceback.format_stack(limit=12)[:-1])
    _open[connection._number] = (str(database), f"{threading.current_thread().name}:\n{stack}")
    return connection


def pytest_configure(config: pytest.Config) -> None:
    """Watch what is opened from now on, until the run ends."""
    for module in (sqlite3, sqlite3.dbapi2):
        patch = mock.patch.object(module, "connect", _watched)
        patch.start()
        config.add_cleanup(patch.stop)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown() -> Generator[None]:
    """Look after the last fixture is torn down; a thread that closes one may take a moment."""
    yield
    if _open:
        # An engine that is dropped ends its connections when it is collected.
        gc.collect()
    deadline = time.monotonic() + _DEADLINE
    while _open and time.monotonic() < deadline:
        time.sleep(0.01)
    left = list(_open.values())
    _open.clear()
    if left:
        pytest.fail("\n".join(f"left open: {name}\nby {where}" for name, where in left))
