"""What isolation may cost, each limit beside what was found. A time never fails a run."""

from harness.budgets import AT_LEAST, AT_MOST, TIME
from harness.catalogue import POSTGRESQL, SQLITE
from harness.isolation.catalogue import CREATE_ALL, OURS
from harness.isolation.results import Isolation
from harness.results import Verdict

_RATIO = 10.0
_OVER_EMPTY = 3.0
_START = 10.0


def judge(found: Isolation) -> list[Verdict]:
    """Compare all limits; what was not measured neither holds nor is broken."""
    create_all = found.time(CREATE_ALL.name, POSTGRESQL)
    ours = found.time(OURS.name, SQLITE)
    over_empty = ours.over_empty if ours else None
    return [
        _verdict(
            f"{POSTGRESQL}, create_all and drop_all: time of a test against ours",
            create_all.ratio.median if create_all else None,
            _RATIO,
            AT_LEAST,
        ),
        _verdict(
            f"{SQLITE}, ours: milliseconds over an empty async test",
            over_empty.median if over_empty else None,
            _OVER_EMPTY,
            AT_MOST,
        ),
        _verdict(
            "start of pytest: milliseconds that the plugin adds",
            found.start.milliseconds.median if found.start else None,
            _START,
            AT_MOST,
        ),
    ]


def _verdict(name: str, measured: float | None, limit: float, comparison: str) -> Verdict:
    holds = None
    if measured is not None:
        holds = measured <= limit if comparison == AT_MOST else measured >= limit
    return Verdict(name, TIME, comparison, limit, measured, holds)
