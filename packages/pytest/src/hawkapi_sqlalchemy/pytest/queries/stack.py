"""Who sent a statement: the lines of the application on the stack.

SQLAlchemy's asyncio runs its synchronous part in a greenlet of its own. The stack ends where that
greenlet begins; its caller's goes on in the greenlet's parent.
"""

from __future__ import annotations

import inspect
import sysconfig
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

import greenlet

from hawkapi_sqlalchemy.pytest.queries.records import SourceLine

__all__ = ["Origin", "Serials", "origin_of"]

_HERE = "hawkapi_sqlalchemy.pytest.queries"
_BETWEEN = {"greenlet", "hawkapi", "hawkapi_sqlalchemy", "sqlalchemy", "sqlmodel"}
"""Packages that stand between the application and its statements."""
_RUNNERS = {"_pytest", "pluggy", "pytest", "pytest_asyncio", "anyio"}
"""Packages that call the tests: what calls them has nothing to do with a statement."""
_OURS = (
    "hawkapi_sqlalchemy.alembic",
    "hawkapi_sqlalchemy.core.dialects",
    "hawkapi_sqlalchemy.core.engine",
    "hawkapi_sqlalchemy.core.health",
    "hawkapi_sqlalchemy.pytest",
)
"""Modules whose statements are not the application's."""
_SESSIONS = "hawkapi_sqlalchemy.core.sessions"
"""Where the statements of everybody come through."""
_FIRST_CONNECT = "sqlalchemy.engine.create"
"""Where a dialect asks about its server when its engine first connects."""
_FLUSH = "sqlalchemy.orm.unitofwork"
_STANDARD_LIBRARY = tuple(
    Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib") if sysconfig.get_path(name)
)
_INSTALLED = {"site-packages", "dist-packages"}


class Serials:
    """Numbers for objects, never given twice; they keep no object alive."""

    def __init__(self) -> None:
        self._numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
        self._next = 0

    def of(self, value: Any) -> int:
        """Answer an object's number.

        Args:
            value: The object.
        """
        number = self._numbers.get(value)
        if number is None:
            self._next += 1
            number = self._numbers[value] = self._next
        return number


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a statement came from.

    Args:
        callers: The application's lines, the innermost first. A recursion shows each line once.
        operation: The call of SQLAlchemy that sent it; `None` where each statement has its own.
        is_ours: The library sent it by itself.
    """

    callers: tuple[SourceLine, ...]
    operation: Hashable | None
    is_ours: bool


_LIBRARY = Origin((), None, is_ours=True)


def origin_of(serials: Serials) -> Origin:
    """Find out where the statement came from that SQLAlchemy is executing.

    Args:
        serials: Numbers for greenlets.
    """
    callers: dict[SourceLine, None] = {}
    operation: Hashable | None = None
    flushes = False
    passes_library = False
    for each, inside in _stack(inspect.currentframe()):
        module = str(each.f_globals.get("__name__", ""))
        if module.startswith(_HERE):
            continue
        root = module.partition(".")[0]
        if root in _RUNNERS:
            break
        if root in _BETWEEN or _is_standard(each.f_code.co_filename):
            if callers:
                continue
            if module == _FIRST_CONNECT:
                return _LIBRARY
            if root == "hawkapi_sqlalchemy" and module != _SESSIONS and not passes_library:
                # What comes next may have called the library on behalf of the application.
                passes_library = True
                if module.startswith(_OURS):
                    return _LIBRARY
            flushes = flushes or module == _FLUSH
            continue
        if not callers:
            operation = _operation(inside, serials, flushes=flushes)
        code = each.f_code
        function = code.co_qualname.rpartition("<locals>.")[2]
        callers[SourceLine(code.co_filename, each.f_lineno, function)] = None
    return Origin(tuple(callers), operation, is_ours=False)


def _operation(
    inside: greenlet.greenlet | None, serials: Serials, *, flushes: bool
) -> Hashable | None:
    # From asynchronous code each call of SQLAlchemy is a greenlet. What runs inside one, by
    # `run_sync`, makes many calls there; but a flush is one call with many statements.
    if inside is not None:
        return serials.of(inside)
    return ("flush", serials.of(greenlet.getcurrent())) if flushes else None


def _stack(frame: FrameType | None) -> Iterator[tuple[FrameType, greenlet.greenlet | None]]:
    """Go through the frames, each with the greenlet that was entered from it, if one was."""
    current = greenlet.getcurrent()
    inside: greenlet.greenlet | None = None
    while True:
        while frame is not None:
            yield frame, inside
            frame = frame.f_back
        if current.parent is None:
            return
        inside, current = current, current.parent
        frame = current.gr_frame


@cache
def _is_standard(filename: str) -> bool:
    if filename.startswith(("<frozen ", "<string>")):
        return True
    path = Path(filename)
    return any(path.is_relative_to(folder) for folder in _STANDARD_LIBRARY) and not (
        _INSTALLED & set(path.parts)
    )
