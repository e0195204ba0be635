"""What imports cost in CPU time, each in a Python of its own, interleaved."""

import random
import resource
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.environments import clean_variables
from harness.results import ImportTime

ROOT = "hawkapi_sqlalchemy"
ALEMBIC = "hawkapi_sqlalchemy.alembic"
_AGAINST = "alembic, sqlalchemy.ext.asyncio"

_CODE = {
    "": "",
    ROOT: f"import {ROOT}",
    ALEMBIC: f"import {ALEMBIC}",
    _AGAINST: f"import {_AGAINST}",
}


def time_imports(
    python: Path, rounds: int, order: random.Random, step: Callable[[str], None]
) -> list[ImportTime]:
    """Time the imports in the environment of ours.

    A start of Python is taken off each time, the one of the same round: what is left is the import
    alone, so that a ratio of two imports says nothing of Python's own start.

    Args:
        python: The environment's interpreter.
        rounds: How often.
        order: What the order in each round is drawn from.
        step: Is told before each round.
    """
    for code in _CODE.values():
        # Compiles what is not compiled yet.
        _seconds(python, code)
    above: dict[str, list[float]] = {name: [] for name in _CODE}
    for number in range(rounds):
        step(f"imports, round {number + 1}")
        names = list(_CODE)
        order.shuffle(names)
        seconds = {name: _seconds(python, _CODE[name]) for name in names}
        for name in names:
            above[name].append(seconds[name] - seconds[""])
    ratios = [ours / theirs for ours, theirs in zip(above[ALEMBIC], above[_AGAINST], strict=True)]
    return [
        ImportTime(ROOT, 1000 * statistics.median(above[ROOT])),
        ImportTime(ALEMBIC, 1000 * statistics.median(above[ALEMBIC]), statistics.median(ratios)),
        ImportTime(_AGAINST, 1000 * statistics.median(above[_AGAINST])),
    ]


def _seconds(python: Path, code: str) -> float:
    before = _children_seconds()
    subprocess.run(
        [str(python), "-c", code], env=clean_variables(), check=True, stdin=subprocess.DEVNULL
    )
    return _children_seconds() - before


def _children_seconds() -> float:
    # The only child that ends meanwhile is the one that is timed.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
