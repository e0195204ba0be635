"""How costs grow: with clients, with requests, with databases."""

from harness.publish import markdown, names
from harness.publish.plots.catalogue import memory_plot, pool_plot
from harness.results import Results
from harness.scale.results import PoolPoint, Scale


def pool(results: Results) -> str:
    """Make a section for each database: the plot, and a table for each pool."""
    found = Scale.parse(results.scale).pool
    if not found:
        return markdown.NOT_MEASURED
    parts: list[tuple[str, str]] = []
    for database in names.in_order(names.DATABASE_ORDER, {each.database for each in found}):
        pools: dict[tuple[int, int], list[PoolPoint]] = {}
        for each in (each for each in found if each.database == database):
            pools.setdefault((each.pool_size, each.max_overflow), []).append(each)
        tables = [
            (f"{size} + {overflow}", _pool_table(pools[size, overflow]))
            for size, overflow in sorted(pools)
        ]
        plot = pool_plot(results, database)
        text = [*([plot.markdown] if plot else []), markdown.tabs(tables)]
        parts.append((names.label(names.DATABASES, database), "\n\n".join(text)))
    return markdown.sections(parts, level=4)


def _pool_table(points: list[PoolPoint]) -> str:
    order = names.in_order(names.PEERS, {each.peer for each in points})
    rows = [
        (
            str(each.clients),
            _strong(each.peer),
            markdown.spread(each.ratio),
            markdown.number(each.requests_per_second),
            f"{markdown.short(each.p50_milliseconds)} / {markdown.short(each.p99_milliseconds)}",
            markdown.short(each.connections_per_second),
            markdown.number(each.failures),
        )
        for each in sorted(points, key=lambda each: (each.clients, order.index(each.peer)))
    ]
    header = (
        "Clients",
        "",
        "Throughput, relative",
        "Requests a second",
        "p50 / p99, ms",
        "Connections a second",
        "Failed",
    )
    return markdown.table(header, rows, numbers_from=2)


def _strong(peer: str) -> str:
    text = names.label(names.PEERS, peer)
    return f"**{text}**" if peer == names.OURS else text


def memory(results: Results) -> str:
    """Make the table of memory over many requests."""
    found = Scale.parse(results.scale).memory
    if not found:
        return markdown.NOT_MEASURED
    rows = [
        (
            names.label(names.DATABASES, each.database),
            markdown.number(each.samples[-1].requests),
            markdown.number(each.samples[0].rss_mib, 1),
            markdown.number(each.samples[-1].rss_mib, 1),
            f"{each.rss_kib_per_1000:+.1f}<br><small>limit {each.rss_limit:g}</small>",
            f"{each.objects_per_1000:+.1f}<br><small>limit {each.objects_limit:g}</small>",
            "✓\u00a0flat" if each.flat else "✗\u00a0**grows**",
        )
        for each in found
    ]
    header = (
        "",
        "Requests",
        "MiB after warm-up",
        "MiB at the end",
        "KiB for 1,000 requests",
        "Objects for 1,000 requests",
        "",
    )
    plot = memory_plot(results)
    text = markdown.table(header, rows)
    return f"{plot.markdown}\n\n{text}" if plot else text


def databases(results: Results) -> str:
    """Make the table of what registered databases cost."""
    found = Scale.parse(results.scale).databases
    if not found:
        return markdown.NOT_MEASURED
    ordered = sorted(found, key=lambda each: each.databases)
    least = ordered[0]
    rows = [
        (
            str(each.databases),
            markdown.spread(each.ratio),
            markdown.number(each.microseconds),
            markdown.number(each.kib),
            markdown.number((each.kib - least.kib) / (each.databases - least.databases))
            if each is not least
            else markdown.NOTHING,
            markdown.number(each.start_milliseconds),
            str(each.opened_at_start),
            str(each.opened_by_requests),
        )
        for each in ordered
    ]
    header = (
        "Databases",
        "Time of a request, relative",
        "µs",
        "KiB",
        "KiB for each further one",
        "Start-up, ms",
        "Connections opened by start-up",
        "to unused databases by requests",
    )
    return markdown.table(header, rows, numbers_from=0)
