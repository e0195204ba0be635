"""The peers beside each other: a dot for each number of clients, with quartiles."""

from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.publish import markdown, names
from harness.publish.plots.style import WIDTH, Palette, nice_ticks, plain_ticks
from harness.results import HTTP, Measurement

_COLUMNS = 2
_ROW = 0.27
_LEAST = 4
"""Rows of a panel, so that the legend has room."""
_MANY = 64


def draw(data: Sequence[Measurement], palette: Palette) -> Figure:
    """Draw a panel for each workload.

    Args:
        data: What was measured on one database.
        palette: The theme's colours.
    """
    # What the dots are relative to is the line at 1, and has no row.
    shown = [each for each in data if each.peer != names.REFERENCE]
    peers = names.in_order(names.PEERS, {each.peer for each in shown})
    workloads = names.in_order(names.WORKLOADS, {each.workload for each in shown})
    counts = sorted({each.clients for each in shown})
    lines = ceil((len(workloads) + 1) / _COLUMNS)
    figure = Figure(figsize=(WIDTH, lines * (_ROW * max(len(peers), _LEAST) + 0.62)))
    grid = figure.subplots(lines, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    panels: list[Axes] = list(grid.flat)
    bounds = _bounds(shown)
    for axes, workload in zip(panels, workloads, strict=False):
        _panel(axes, [each for each in shown if each.workload == workload], peers, counts, palette)
        axes.set_title(names.label(names.WORKLOADS, workload))
    first = panels[0]
    first.set_xscale("log")
    first.set_xlim(*bounds)
    plain_ticks(first, "x", nice_ticks(*bounds))
    first.set_ylim(len(peers) - 0.4, -0.6)
    first.set_yticks(range(len(peers)), [names.label(names.PEERS, each) for each in peers])
    for axes in grid[:, 0]:
        for text, peer in zip(axes.get_yticklabels(), peers, strict=True):
            if peer == names.OURS:
                text.set(color=palette.ours, weight="bold")
    more = data[0].group == HTTP
    quantity = "throughput, relative to raw (more is better)"
    if not more:
        quantity = "time, relative to raw (less is better)"
    for axes in panels[: len(workloads)]:
        axes.tick_params(labelbottom=True)
    for column in range(_COLUMNS):
        last = [index for index in range(len(workloads)) if index % _COLUMNS == column]
        if last:
            panels[last[-1]].set_xlabel(quantity)
    _legend(panels[len(workloads)], counts, palette, more=more)
    for axes in panels[len(workloads) + 1 :]:
        axes.set_axis_off()
    return figure


def _bounds(shown: Sequence[Measurement]) -> tuple[float, float]:
    values = [
        value
        for each in shown
        if each.ratio is not None
        for value in (each.ratio.median, each.ratio.q1, each.ratio.q3)
    ]
    return min(0.5, min(values) / 1.15), max(1.6, max(values) * 1.15)


def _panel(
    axes: Axes,
    found: list[Measurement],
    peers: list[str],
    counts: list[int],
    palette: Palette,
) -> None:
    axes.axvline(1, color=palette.text, linewidth=1, zorder=1)
    axes.grid(visible=False, axis="y")
    axes.tick_params(left=False)
    for y in range(1, len(peers)):
        axes.axhline(y - 0.5, color=palette.faint, linewidth=0.6, zorder=0)
    step = 0.62 / max(1, len(counts))
    for place, count in enumerate(counts):
        for colour in (palette.other, palette.second, palette.ours):
            points = [
                (peers.index(each.peer) + (place - (len(counts) - 1) / 2) * step, each.ratio)
                for each in found
                if each.clients == count and each.ratio and palette.peer(each.peer) == colour
            ]
            if not points:
                continue
            whiskers = [(y, ratio.q1, ratio.q3) for y, ratio in points]
            axes.hlines(*zip(*whiskers, strict=True), color=colour, linewidth=1.1)
            axes.plot(
                [ratio.median for _, ratio in points],
                [y for y, _ in points],
                color=colour,
                linestyle="none",
                markersize=4.6,
                **_marker(count, colour),
            )


def _marker(count: int, colour: str) -> dict[str, Any]:
    """Choose the dots of a number of clients: the same in every plot."""
    shape = "o" if count == 1 else "s" if count < _MANY else "D"
    return {"marker": shape, "markerfacecolor": colour if count >= _MANY else "none"}


def _legend(axes: Axes, counts: list[int], palette: Palette, *, more: bool) -> None:
    axes.set_axis_off()
    handles = [
        Line2D(
            [],
            [],
            markersize=5.5,
            color=palette.text,
            linewidth=1.1,
            label=markdown.clients(count),
            **_marker(count, palette.text),
        )
        for count in counts
    ]
    better = "More is better: to the right." if more else "Less is better: to the left."
    axes.legend(
        handles=handles,
        loc="center left",
        title=f"{better}\nThe line at 1 is raw.\nDots: medians; whiskers: quartiles.",
        alignment="left",
        labelspacing=0.55,
    )
