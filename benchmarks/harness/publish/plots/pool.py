"""Pools under a growing number of clients."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.publish import names
from harness.publish.plots.style import WIDTH, Palette, nice_ticks, plain_ticks
from harness.scale.results import PoolPoint

_MARKERS = {"ours": "o", "raw": "s", "published": "^"}
_DASHES = {"raw": (0, (4, 2)), "published": (0, (1.2, 1.2))}

type Measure = Callable[[PoolPoint], float]


def draw(data: Sequence[PoolPoint], palette: Palette) -> Figure:
    """Draw a row for each pool, and a column for each of what was measured.

    Args:
        data: What was measured on one database.
        palette: The theme's colours.
    """
    pools = sorted({(each.pool_size, each.max_overflow) for each in data})
    peers = names.in_order(names.PEERS, {each.peer for each in data})
    clients = sorted({each.clients for each in data})
    figure = Figure(figsize=(WIDTH, 2.25 * len(pools) + 0.35))
    grid = figure.subplots(len(pools), 3, sharex=True, sharey="col", squeeze=False)
    for row, (size, overflow) in zip(grid, pools, strict=True):
        points = [each for each in data if (each.pool_size, each.max_overflow) == (size, overflow)]
        one = _of_raw_alone(points)
        columns: tuple[tuple[str, Measure], ...] = (
            (
                "throughput\n(raw at 1 client: 1)",
                lambda each, one=one: each.requests_per_second / one,
            ),
            ("99th percentile,\nms", lambda each: each.p99_milliseconds),
            ("new connections for\n1,000 requests", lambda each: each.connections_per_1000),
        )
        for axes, (title, measure) in zip(row, columns, strict=True):
            _lines(axes, points, peers, measure, palette)
            if (size, overflow) == pools[0]:
                axes.set_title(title)
        row[0].set_ylabel(f"pool {size} + {overflow}", weight="bold")
        row[1].set_yscale("log")
        row[2].set_yscale("symlog", linthresh=1)
    for axes, note in zip(
        grid[-1], ("more is better", "less is better", "less is better"), strict=True
    ):
        axes.set_xscale("log")
        plain_ticks(axes, "x", [float(each) for each in clients])
        axes.set_xlabel(f"clients ({note})")
    # The axes of a column are one: their ends are known when all lines are drawn.
    grid[0][0].set_ylim(0, 1.08 * max(axes.dataLim.y1 for axes in grid[:, 0]))
    times = [each.p99_milliseconds for each in data]
    for row in grid:
        plain_ticks(row[1], "y", nice_ticks(min(times) / 1.5, max(times) * 1.5))
        most = max(each.connections_per_1000 for each in data)
        plain_ticks(row[2], "y", [t for t in (0.0, 1.0, 10.0, 100.0, 1000.0) if t <= max(10, most)])
        row[2].set_ylim(bottom=-0.15)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(peers))
    return figure


def _of_raw_alone(points: list[PoolPoint]) -> float:
    few = min(each.clients for each in points)
    return next(
        each.requests_per_second
        for each in points
        if each.clients == few and each.peer == names.REFERENCE
    )


def _lines(
    axes: Axes, points: list[PoolPoint], peers: list[str], measure: Measure, palette: Palette
) -> None:
    for peer in peers:
        line = sorted((e for e in points if e.peer == peer), key=lambda each: each.clients)
        ours = peer == names.OURS
        axes.plot(
            [each.clients for each in line],
            [measure(each) for each in line],
            color=palette.peer(peer),
            linestyle=_DASHES.get(peer, "solid"),
            linewidth=2.2 if ours else 1.4,
            marker=_MARKERS.get(peer, "D"),
            markersize=5,
            # Where lines meet, ours lies on top.
            zorder=4 if ours else 3,
            label=names.label(names.PEERS, peer),
        )
