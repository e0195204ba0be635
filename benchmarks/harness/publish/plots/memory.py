"""Memory over many requests."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.publish import names
from harness.publish.plots.style import WIDTH, Palette
from harness.scale.results import Memory

_MARKERS = ("o", "s", "D")


def draw(data: Sequence[Memory], palette: Palette) -> Figure:
    """Draw the size of the process, and how many objects the garbage collector knows.

    Args:
        data: A run for each database.
        palette: The theme's colours.
    """
    figure = Figure(figsize=(WIDTH, 2.9))
    left, right = figure.subplots(1, 2, sharex=True)
    for each, colour, marker in zip(
        data, (palette.ours, palette.second, palette.third), _MARKERS, strict=False
    ):
        requests = [sample.requests for sample in each.samples]
        style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.6}
        label = names.label(names.DATABASES, each.database)
        left.plot(requests, [sample.rss_mib for sample in each.samples], label=label, **style)
        right.plot(requests, [sample.objects for sample in each.samples], **style)
    left.set_title("resident memory, MiB")
    right.set_title("objects")
    for axes in (left, right):
        axes.set_ylim(0, 1.15 * axes.dataLim.y1)
        axes.set_xlabel("requests (flat is better)")
        thousands = FuncFormatter(lambda value, _: f"{value:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(thousands)
        axes.yaxis.set_major_formatter(thousands)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(data))
    return figure
