"""The peers beside each other."""

from collections.abc import Callable

from harness.publish import markdown, names
from harness.publish.plots.catalogue import peers_plot
from harness.results import HTTP, Count, Measurement, NoDatabase, Results


def ratios(results: Results, group: str) -> str:
    """Make a section for each database: a table of ratios for each number of clients.

    Args:
        results: The run.
        group: `in_process` or `http`.
    """
    found = [
        each
        for each in results.measurements
        if each.group == group and each.workload != names.NO_DATABASE
    ]
    if not found:
        return markdown.NOT_MEASURED
    parts: list[tuple[str, str]] = []
    for database in names.in_order(names.DATABASE_ORDER, {each.database for each in found}):
        of_database = [each for each in found if each.database == database]
        by_clients = [
            (markdown.clients(count), _table(of_database, count, _ratio))
            for count in sorted({each.clients for each in of_database})
        ]
        plot = peers_plot(results, group, database)
        text = [
            *([plot.markdown] if plot else []),
            markdown.tabs(by_clients),
            _details(of_database, group),
        ]
        parts.append((names.label(names.DATABASES, database), "\n\n".join(text)))
    return markdown.sections(parts, level=3)


def _details(found: list[Measurement], group: str) -> str:
    if group == HTTP:
        return _folded("Requests a second", found, _throughput)
    parts = [_folded("Milliseconds: median / 99th percentile", found, _milliseconds)]
    if any(each.cpu_ratio for each in found):
        parts.append(_folded("CPU time of the application, relative to raw", found, _cpu))
    return "\n\n".join(parts)


def _folded(title: str, found: list[Measurement], cell: Callable[[Measurement], str]) -> str:
    tables = [
        (markdown.clients(count), _table(found, count, cell))
        for count in sorted({each.clients for each in found})
    ]
    return markdown.folded(title, markdown.tabs(tables))


def _table(found: list[Measurement], count: int, cell: Callable[[Measurement], str]) -> str:
    cells = {(each.peer, each.workload): each for each in found if each.clients == count}
    workloads = names.in_order(names.WORKLOADS, {workload for _, workload in cells})
    rows: list[list[str]] = []
    for peer in names.in_order(names.PEERS, {peer for peer, _ in cells}):
        row = [_strong(peer, names.label(names.PEERS, peer))]
        for workload in workloads:
            measurement = cells.get((peer, workload))
            row.append(markdown.NOTHING if measurement is None else cell(measurement))
        rows.append(row)
    return markdown.table(["", *(names.label(names.WORKLOADS, each) for each in workloads)], rows)


def _strong(peer: str, text: str) -> str:
    return f"**{text}**" if peer == names.OURS else text


def _failed(measurement: Measurement, text: str) -> str:
    if not measurement.failures:
        return text
    # A time of requests that did not fail says little where others did.
    return f"{text}<br><small>{measurement.failures:,} failed</small>"


def _ratio(measurement: Measurement) -> str:
    if measurement.hung:
        # Requests that wait for each other have no time.
        return _failed(measurement, "hung")
    return _failed(measurement, markdown.spread(measurement.ratio))


def _milliseconds(measurement: Measurement) -> str:
    times = measurement.milliseconds
    median = None if times is None else times.median
    return f"{markdown.number(median, 2)} / {markdown.number(measurement.p99_milliseconds, 2)}"


def _cpu(measurement: Measurement) -> str:
    return markdown.spread(measurement.cpu_ratio)


def _throughput(measurement: Measurement) -> str:
    return markdown.number(measurement.requests_per_second)


def counts(results: Results) -> str:
    """Make a table of each thing that is counted."""
    if not results.counts:
        return markdown.NOT_MEASURED
    kinds = names.in_order(names.COUNTS, {each.name for each in results.counts})
    return markdown.sections(
        (
            (
                names.label(names.COUNTS, kind),
                _by_database([e for e in results.counts if e.name == kind]),
            )
            for kind in kinds
        ),
        level=3,
    )


def _by_database(found: list[Count]) -> str:
    databases = names.in_order(names.DATABASE_ORDER, {each.database for each in found})
    return markdown.tabs(
        (
            names.label(names.DATABASES, database),
            _counted([each for each in found if each.database == database]),
        )
        for database in databases
    )


def _counted(found: list[Count]) -> str:
    cells = {(each.peer, each.workload): each.value for each in found}
    workloads = names.in_order(names.WORKLOADS, {each.workload for each in found})
    rows = [
        [
            _strong(peer, names.label(names.PEERS, peer)),
            *(markdown.short(cells.get((peer, workload))) for workload in workloads),
        ]
        for peer in names.in_order(names.PEERS, {each.peer for each in found})
    ]
    return markdown.table(["", *(names.label(names.WORKLOADS, each) for each in workloads)], rows)


def imports(results: Results) -> str:
    """Make the table of import times."""
    if not results.imports:
        return markdown.NOT_MEASURED
    rows = [
        (f"`{each.name}`", markdown.number(each.milliseconds, 1), markdown.number(each.ratio, 2))
        for each in results.imports
    ]
    return markdown.table(("", "Milliseconds", "Relative"), rows)


def no_database(results: Results) -> str:
    """Tell what a route pays that uses no database, and what each peer's framework costs."""
    found = results.no_database
    cells = {
        (each.peer, (each.group, each.clients)): each
        for each in results.measurements
        if each.workload == names.NO_DATABASE
    }
    if found == NoDatabase() and not cells:
        return markdown.NOT_MEASURED
    return "\n\n".join([*_added(found), *_frameworks(cells)])


def _added(found: NoDatabase) -> list[str]:
    if found == NoDatabase():
        return []
    rows = [
        ("In process, microseconds more", markdown.short(found.in_process_microseconds)),
        ("Requests a second over HTTP, relative", markdown.number(found.http_ratio, 2)),
    ]
    return [markdown.table(("Against HawkAPI alone", ""), rows)]


def _frameworks(cells: dict[tuple[str, tuple[str, int]], Measurement]) -> list[str]:
    if not cells:
        return []
    columns = sorted({column for _, column in cells}, key=lambda each: (each[0] == HTTP, each[1]))
    header = [
        f"{'throughput over HTTP' if group == HTTP else 'time'},<br>{markdown.clients(clients)}"
        for group, clients in columns
    ]
    rows: list[list[str]] = []
    for peer in names.in_order(names.PEERS, {peer for peer, _ in cells}):
        row = [_strong(peer, names.label(names.PEERS, peer))]
        for column in columns:
            measurement = cells.get((peer, column))
            row.append(markdown.NOTHING if measurement is None else _ratio(measurement))
        rows.append(row)
    return [markdown.table(["Relative to raw", *header], rows)]
