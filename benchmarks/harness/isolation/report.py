"""What was found about isolation, as the terminal shows it."""

from collections.abc import Iterator

from harness.isolation.catalogue import WAYS
from harness.isolation.results import Isolation, TestTime
from harness.report import verdicts
from harness.table import number, render

_HEAD = ("", "ms", "over empty", "against ours", "quartiles", "tests", "rounds")


def tables(found: Isolation) -> Iterator[str]:
    """Yield the tables, one after the other."""
    yield f"A test: set-up, call and tear-down, medians\n\n{_times(found.times)}"
    if found.start is not None:
        start = found.start.milliseconds
        yield (
            f"Start of pytest: the plugin adds {start.median:.1f} ms"
            f" ({start.q1:.1f}-{start.q3:.1f}) of CPU time"
        )
    yield f"Limits\n\n{verdicts(found.limits)}"


def _times(times: list[TestTime]) -> str:
    rows: list[tuple[str, ...]] = []
    database = None
    for each in times:
        if each.database != database:
            database = each.database
            rows.append((database, *[""] * (len(_HEAD) - 1)))
        rows.append(
            (
                f"  {WAYS[each.way].title}",
                number(each.milliseconds.median),
                number(each.over_empty.median if each.over_empty else None),
                number(each.ratio.median),
                f"{each.ratio.q1:.2f}-{each.ratio.q3:.2f}",
                str(each.tests),
                str(each.rounds),
            )
        )
    return render(_HEAD, rows)
