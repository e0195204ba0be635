"""How all plots look, and how they become files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.publish import names
from harness.publish.plots.catalogue import Plot

WIDTH = 7.4
"""Inches. The site's column of text is about as wide, so fonts are shown at their size."""


@dataclass(frozen=True)
class Palette:
    """The colours of one theme: of Okabe and Ito's, which are told apart with any eyes."""

    text: str
    faint: str
    other: str
    ours: str
    second: str
    third: str

    def peer(self, peer: str) -> str:
        """Choose a peer's colour."""
        return {names.OURS: self.ours, "published": self.second}.get(peer, self.other)


PALETTES = {
    "light": Palette("#24292f", "#d0d4da", "#6e7681", "#0072b2", "#d55e00", "#009e73"),
    "dark": Palette("#dfe3ea", "#444b58", "#9aa3b2", "#56b4e9", "#e69f00", "#2fc49a"),
}


def settings(palette: Palette) -> dict[str, Any]:
    """Answer matplotlib's settings for a theme."""
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": palette.faint,
        "axes.facecolor": "none",
        "axes.grid": True,
        "axes.labelcolor": palette.text,
        "axes.labelsize": 9,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": palette.text,
        "axes.titlelocation": "left",
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "figure.constrained_layout.use": True,
        "figure.facecolor": "none",
        "font.family": "sans-serif",
        # The first comes with matplotlib and is what is measured; the next two are as wide.
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Geneva", "Arial", "sans-serif"],
        "font.size": 9,
        "grid.color": palette.faint,
        "grid.linewidth": 0.6,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "legend.labelcolor": palette.text,
        "savefig.facecolor": "none",
        "svg.fonttype": "none",
        # Else element names would be drawn by lot, and every run would change every line.
        "svg.hashsalt": "hawkapi-sqlalchemy",
        "text.color": palette.text,
        "xtick.color": palette.text,
        "xtick.labelsize": 8.5,
        "xtick.minor.size": 0,
        "ytick.color": palette.text,
        "ytick.labelsize": 8.5,
        "ytick.minor.size": 0,
    }


def plain_ticks(axes: Axes, which: str, ticks: list[float]) -> None:
    """Label a logarithmic axis with plain numbers."""
    labels = [f"{tick:,g}" for tick in ticks]
    if which == "x":
        axes.set_xticks(ticks, labels)
        axes.set_xticks([], minor=True)
    else:
        axes.set_yticks(ticks, labels)
        axes.set_yticks([], minor=True)


def nice_ticks(low: float, high: float) -> list[float]:
    """Choose 1, 2 and 5 times powers of ten between two values, or only the powers."""
    steps = [base * 10.0**power for power in range(-3, 7) for base in (1, 2, 5)]
    ticks = [step for step in steps if low <= step <= high]
    return ticks if len(ticks) <= 6 else [tick for tick in ticks if f"{tick:e}"[0] == "1"]


def save(plot: Plot, folder: Path) -> list[Path]:
    """Draw a plot for both themes.

    Args:
        plot: The plot.
        folder: Where its files go.

    Returns:
        The files.
    """
    files: list[Path] = []
    for variant, palette in PALETTES.items():
        file = folder / plot.file(variant)
        with mpl.rc_context(settings(palette)):
            figure: Figure = plot.draw(plot.data, palette)
            figure.savefig(
                file,
                format="svg",
                metadata={
                    "Date": None,
                    "Creator": None,
                    "Title": plot.alt,
                    "Description": plot.digest,
                },
            )
        files.append(file)
    return files
