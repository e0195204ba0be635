"""Which plots a run's results give, and what is drawn in each."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.publish import names
from harness.results import Results
from harness.scale.results import Scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from harness.publish.plots.style import Palette

FOLDER = "assets/benchmarks"
VARIANTS = ("light", "dark")


@dataclass(frozen=True)
class Plot:
    """One picture, which is drawn once for each of the site's two themes.

    Args:
        name: Of its files, without variant and ending.
        alt: What stands in for it.
        data: What it shows.
        draw: Draws it; imports matplotlib.
    """

    name: str
    alt: str
    data: Sequence[Any]
    draw: "Callable[[Sequence[Any], Palette], Figure]"

    @property
    def digest(self) -> str:
        """What the files carry, so that it is known without drawing whether they are up to date."""
        text = json.dumps([asdict(each) for each in self.data])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def file(self, variant: str) -> str:
        """Name the file of a variant."""
        return f"{self.name}-{variant}.svg"

    @property
    def markdown(self) -> str:
        """Show it on the page."""
        return "\n".join(
            f"![{self.alt}]({FOLDER}/{self.file(variant)}#only-{variant})" for variant in VARIANTS
        )


def peers_plot(results: Results, group: str, database: str) -> Plot | None:
    """Answer the plot of the peers on a database; `None` when nothing was measured there."""
    data = [
        each
        for each in results.measurements
        if each.group == group
        and each.database == database
        and each.ratio is not None
        and each.workload != names.NO_DATABASE
    ]
    if not data:
        return None
    what = "Throughput over HTTP" if group == "http" else "Time"
    return Plot(
        f"{group.replace('_', '-')}-{database}",
        f"{what} of each peer relative to raw, on {names.label(names.DATABASES, database)}",
        data,
        _draw_peers,
    )


def pool_plot(results: Results, database: str) -> Plot | None:
    """Answer the plot of pools under load; `None` when nothing was measured there."""
    data = [each for each in Scale.parse(results.scale).pool if each.database == database]
    if not data:
        return None
    return Plot(
        f"pool-{database}",
        "Throughput, 99th percentile and new connections of each peer at 1 to 512 clients, on "
        + names.label(names.DATABASES, database),
        data,
        _draw_pool,
    )


def memory_plot(results: Results) -> Plot | None:
    """Answer the plot of memory; `None` when nothing was measured."""
    data = Scale.parse(results.scale).memory
    if not data:
        return None
    return Plot("memory", "Memory and objects over many requests", data, _draw_memory)


def plots(results: Results) -> list[Plot]:
    """List every plot of a run."""
    databases = names.DATABASE_ORDER
    found = [
        *(peers_plot(results, "in_process", each) for each in databases),
        *(peers_plot(results, "http", each) for each in databases),
        *(pool_plot(results, each) for each in databases),
        memory_plot(results),
    ]
    return [each for each in found if each is not None]


def _draw_peers(data: Sequence[Any], palette: "Palette") -> "Figure":
    from harness.publish.plots.dots import draw

    return draw(data, palette)


def _draw_pool(data: Sequence[Any], palette: "Palette") -> "Figure":
    from harness.publish.plots.pool import draw

    return draw(data, palette)


def _draw_memory(data: Sequence[Any], palette: "Palette") -> "Figure":
    from harness.publish.plots.memory import draw

    return draw(data, palette)
