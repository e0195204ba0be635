"""Write the page of the documentation and its plots, made of a file of results."""

import argparse
import shutil
from pathlib import Path

from harness.paths import ROOT
from harness.publish.page import render
from harness.publish.plots.catalogue import FOLDER, plots
from harness.results import Results

DOCS = ROOT / "docs"
STORED = DOCS / FOLDER / "results.json"


def run(arguments: list[str]) -> int:
    """Write the report, and tell what was written; answer the exit status."""
    parser = argparse.ArgumentParser(prog="python benchmarks report", description=__doc__)
    parser.add_argument("file", type=Path, help="the results")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder of the documentation")
    options = parser.parse_args(arguments)
    for file in write(options.file, options.docs):
        print(file)
    return 0


def write(file: Path, docs: Path = DOCS) -> list[Path]:
    """Write the page, its plots, and the results that it is made of.

    Args:
        file: The results.
        docs: The folder of the documentation.

    Returns:
        What was written.

    Raises:
        BenchmarkError: The file is of another schema.
    """
    # Nothing else needs matplotlib.
    from harness.publish.plots.style import save

    results = Results.read(file)
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
