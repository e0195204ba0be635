"""Write the page of the documentation and its plots, made of a file of results."""

import argparse
import shutil
from pathlib import Path

from harness.report.page import render
from harness.report.plots.catalogue import FOLDER, plots
from harness.report.results import load

HELP = "write the page and its plots"
DOCS = Path(__file__).parents[3] / "docs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `report`."""
    parser.add_argument("file", type=Path, help="the results")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of the documentation")


def run(arguments: argparse.Namespace) -> None:
    """Write the report, and tell what was written."""
    for file in write(arguments.file, arguments.docs):
        print(file)


def write(file: Path, docs: Path = DOCS) -> list[Path]:
    """Write the page, its plots, and the results that it is made of.

    Args:
        file: The results.
        docs: The folder of the documentation.

    Returns:
        What was written.

    Raises:
        ValueError: The file does not hold results.
    """
    # matplotlib is a requirement of this command alone.
    from harness.report.plots.style import save

    results = load(file)
    folder = docs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "results.json"
    if file.resolve() != stored.resolve():
        shutil.copyfile(file, stored)
    written = [stored]
    for plot in plots(results):
        written.extend(save(plot, folder))
    # What an earlier run had and this one has not.
    for old in folder.glob("*.svg"):
        if old not in written:
            old.unlink()
    page = docs / "benchmarks.md"
    page.write_text(render(results), "utf-8")
    return [*written, page]
