"""The page in the repository is made of the results beside it."""

import re
from pathlib import Path

import pytest

from harness.publish.command import DOCS
from harness.publish.page import render
from harness.publish.plots.catalogue import FOLDER, VARIANTS, plots
from harness.results import Results

STORED = DOCS / FOLDER
REMEDY = "run `python benchmarks report docs/assets/benchmarks/results.json`"


@pytest.fixture
def stored() -> Results:
    return Results.read(STORED / "results.json")


def test_the_page_is_what_the_stored_results_render_to(stored: Results) -> None:
    assert (DOCS / "benchmarks.md").read_text("utf-8") == render(stored), REMEDY


def test_each_stored_plot_was_drawn_from_the_stored_results(stored: Results) -> None:
    expected = {plot.file(variant): plot.digest for plot in plots(stored) for variant in VARIANTS}
    found = {file.name: _digest(file) for file in STORED.glob("*.svg")}
    assert found == expected, REMEDY


def test_stored_files_name_no_place_of_the_machine_and_plots_no_date(stored: Results) -> None:
    del stored
    for file in [*STORED.iterdir(), DOCS / "benchmarks.md"]:
        text = file.read_text("utf-8")
        assert not re.search(r"/(root|home|tmp|work|Users)/", text), file.name
        assert "<dc:date>" not in text


def _digest(file: Path) -> str | None:
    match = re.search(r"<dc:description>(\w+)</dc:description>", file.read_text("utf-8"))
    return match and match[1]
