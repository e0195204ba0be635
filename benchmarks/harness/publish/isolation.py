"""What an isolated test costs, beside other ways to keep tests apart."""

from harness.isolation.catalogue import EMPTY, OURS, WAYS
from harness.isolation.results import Isolation, TestTime
from harness.publish import markdown, names
from harness.publish.budgets import verdicts
from harness.publish.conditions import machine
from harness.results import Results

_TITLES = {name: way.title for name, way in WAYS.items()}
_HEADER = ("", "Time, relative", "ms over an empty test", "ms", "Tests of a run")


def isolation(results: Results) -> str:
    """Make the limits, a table for each database, the plugin's start and the conditions."""
    found = Isolation.parse(results.isolation)
    if found is None:
        return markdown.NOT_MEASURED
    parts = [verdicts(found.limits), _times(found), _start(found), _conditions(found)]
    return "\n\n".join(part for part in parts if part)


def _times(found: Isolation) -> str:
    databases = names.in_order(names.DATABASE_ORDER, {each.database for each in found.times})
    return markdown.tabs(
        (
            names.label(names.DATABASES, database),
            _table([each for each in found.times if each.database == database]),
        )
        for database in databases
    )


def _table(times: list[TestTime]) -> str:
    return markdown.table(
        _HEADER,
        (
            (
                _named(each.way),
                markdown.spread(each.ratio),
                markdown.spread(each.over_empty),
                markdown.number(each.milliseconds.median, 2),
                str(each.tests),
            )
            for each in times
        ),
    )


def _named(way: str) -> str:
    title = names.label(_TITLES, way)
    if way == OURS.name:
        return f"**{title}**"
    return f"*{title}*" if way == EMPTY.name else title


def _start(found: Isolation) -> str:
    if found.start is None:
        return ""
    start = found.start.milliseconds
    return (
        f"The plugin adds {start.median:.1f} ms of CPU time ({start.q1:.1f}–{start.q3:.1f}) to the"
        f" start of pytest, also where no test uses it: the median of {found.start.rounds} pairs"
        " of starts with it and without."
    )


def _conditions(found: Isolation) -> str:
    packages = found.conditions["packages"]
    rows = [
        ("Made", found.made_at),
        ("Mode", found.mode),
        ("Rounds", str(max((each.rounds for each in found.times), default=0))),
        ("Seed of the order", str(found.seed)),
        *machine(found.conditions),
        ("Packages", ", ".join(f"{name} {version}" for name, version in sorted(packages.items()))),
    ]
    table = markdown.table(("", ""), rows, numbers_from=2)
    return markdown.folded("What these numbers were made on", table)
