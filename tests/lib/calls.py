"""Which functions run: counts that do not depend on how fast a machine is."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType


def started_in(codes: list[CodeType], module: ModuleType) -> list[str]:
    """Name the functions of a module, and of those below it, that were started.

    Args:
        codes: What `recording` has seen.
        module: The module or package.
    """
    assert module.__file__ is not None
    file = Path(module.__file__)
    root = str(file.parent) if file.name == "__init__.py" else str(file)
    return [each.co_qualname for each in codes if each.co_filename.startswith(root)]


@contextlib.contextmanager
def recording() -> Iterator[list[CodeType]]:
    """Record every Python function that is started, in order.

    A coroutine or generator is started once, however often it goes on. Functions that the
    interpreter runs without a frame of theirs, built-in ones, are not seen.
    """
    monitoring, tool = sys.monitoring, sys.monitoring.PROFILER_ID
    codes: list[CodeType] = []
    monitoring.use_tool_id(tool, "tests")
    monitoring.register_callback(
        tool, monitoring.events.PY_START, lambda code, _offset: codes.append(code)
    )
    monitoring.set_events(tool, monitoring.events.PY_START)
    try:
        yield codes
    finally:
        monitoring.set_events(tool, monitoring.events.NO_EVENTS)
        monitoring.register_callback(tool, monitoring.events.PY_START, None)
        monitoring.free_tool_id(tool)
