"""What the runs of the ways come to, on one kind of database."""

import statistics
from collections.abc import Mapping, Sequence

from harness.isolation.catalogue import EMPTY, OURS
from harness.isolation.results import TestTime
from harness.spread import Spread

WARM_UP = 2
"""The first tests of a run: they start the server and make the tables that others share."""
CLOSING = 1
"""The last: it removes them."""


def typical(seconds: Sequence[float]) -> float:
    """Answer the milliseconds of a typical test of a run: the median of those that count.

    Args:
        seconds: Of each test, in the order of the run.
    """
    return 1000 * statistics.median(seconds[WARM_UP : len(seconds) - CLOSING])


def summarise(
    database: str, rounds: Sequence[Mapping[str, float]], tests: Mapping[str, int]
) -> list[TestTime]:
    """Summarise the rounds, in each of which every way had a run.

    Args:
        database: The kind of database.
        rounds: The milliseconds of a typical test, by way; those of ours and of the empty test are
            needed.
        tests: How many tests of a run count, by way.
    """
    return [
        TestTime(
            database=database,
            way=way,
            tests=count,
            rounds=len(rounds),
            milliseconds=Spread.of([found[way] for found in rounds]),
            over_empty=None
            if way == EMPTY.name
            else Spread.of([found[way] - found[EMPTY.name] for found in rounds]),
            ratio=Spread.of([found[way] / found[OURS.name] for found in rounds]),
        )
        for way, count in tests.items()
    ]
