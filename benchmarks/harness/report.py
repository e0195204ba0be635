"""What a run found, as the terminal shows it."""

from collections.abc import Iterable, Iterator

from harness.catalogue import PEERS
from harness.counts import FAILURES, HTTP_FAILURES, HTTP_LOST, LOST
from harness.results import HTTP, IN_PROCESS, Measurement, Results, Verdict
from harness.table import number, render

_GROUPS = {
    IN_PROCESS: "In process: time, and CPU time, relative to SQLAlchemy by hand (lower is better)",
    HTTP: "Over HTTP: requests a second relative to SQLAlchemy by hand (higher is better)",
}
# What is none is not worth a line.
_SILENT = (FAILURES, LOST, HTTP_FAILURES, HTTP_LOST)
_HEAD = ("", "ratio", "quartiles", "cpu", "ms", "p99 ms", "req/s", "failed")


def tables(results: Results) -> Iterator[str]:
    """Yield the tables, one after the other."""
    for group, title in _GROUPS.items():
        found = [each for each in results.measurements if each.group == group]
        if found:
            yield f"{title}\n\n{_measurements(found)}"
    if results.counts:
        yield f"Counts\n\n{_counts(results)}"
    if results.imports:
        yield f"Imports, more than an empty Python start\n\n{_imports(results)}"
    if results.budgets:
        yield f"Budgets\n\n{verdicts(results.budgets)}"


def _measurements(found: list[Measurement]) -> str:
    rows: list[tuple[str, ...]] = []
    before = None
    for each in found:
        cell = (each.database, each.workload.removesuffix("_read_only"), each.clients)
        if cell != before:
            before = cell
            database, workload, clients = cell
            rows.append((f"{database}, {workload}, {clients} at a time", *[""] * (len(_HEAD) - 1)))
        suffix = ", read-only" if each.workload.endswith("_read_only") else ""
        ratio = each.ratio
        rows.append(
            (
                f"  {PEERS[each.peer].title}{suffix}",
                "hung" if each.hung else number(ratio.median if ratio else None),
                f"{ratio.q1:.2f}-{ratio.q3:.2f}" if ratio else "-",
                number(each.cpu_ratio.median if each.cpu_ratio else None),
                number(each.milliseconds.median if each.milliseconds else None),
                number(each.p99_milliseconds),
                number(each.requests_per_second, 0),
                str(each.failures) if each.failures else "",
            )
        )
    return render(_HEAD, rows)


def _counts(results: Results) -> str:
    return render(
        ("", "database", "workload", "count"),
        (
            (
                f"{each.name}: {PEERS[each.peer].title}",
                each.database,
                each.workload,
                f"{each.value:g}",
            )
            for each in results.counts
            if each.value or each.name not in _SILENT
        ),
    )


def _imports(results: Results) -> str:
    return render(
        ("", "ms", "ratio"),
        ((each.name, number(each.milliseconds, 1), number(each.ratio)) for each in results.imports),
    )


def verdicts(found: Iterable[Verdict]) -> str:
    """Make the table of limits and what was measured."""
    said = {True: "holds", False: "BROKEN", None: "not measured"}
    signs = {"at_most": "<=", "at_least": ">="}
    return render(
        ("", "kind", "measured", "limit", ""),
        (
            (
                each.name,
                each.kind,
                number(each.measured),
                f"{signs[each.comparison]} {each.limit:.2f}",
                said[each.holds],
            )
            for each in found
        ),
    )
