"""Plots: the same each time they are drawn. They need matplotlib, a requirement of the report."""

from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="install benchmarks/requirements.txt")

from harness.publish.command import DOCS, write
from harness.publish.plots.catalogue import FOLDER, Plot, plots
from harness.publish.plots.style import PALETTES, save
from harness.results import Results


def test_the_stored_plots_are_what_the_stored_results_draw(tmp_path: Path) -> None:
    stored = DOCS / FOLDER
    for plot in plots(Results.read(stored / "results.json")):
        for file in save(plot, tmp_path):
            assert file.read_bytes() == (stored / file.name).read_bytes(), file.name


@pytest.fixture(params=["in-process-postgresql", "in-process-sqlite", "pool-postgresql", "memory"])
def plot(request: pytest.FixtureRequest, sample: Results) -> Plot:
    return next(each for each in plots(sample) if each.name == request.param)


def test_a_plot_is_drawn_the_same_each_time(plot: Plot, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    first, second = (save(plot, folder) for folder in folders)
    assert [file.name for file in first] == [f"{plot.name}-{each}.svg" for each in PALETTES]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_text_stays_text_and_there_is_no_background(plot: Plot, tmp_path: Path) -> None:
    for file in save(plot, tmp_path):
        text = file.read_text("utf-8")
        assert "<text" in text
        assert "fill: #ffffff" not in text


def test_every_peer_of_the_plot_is_named(sample: Results, tmp_path: Path) -> None:
    plot = next(each for each in plots(sample) if each.name == "in-process-postgresql")
    text = save(plot, tmp_path)[0].read_text("utf-8")
    for name in ("hawkapi-sqlalchemy", "hawkapi-sqlalchemy 0.2.0", "newcomer"):
        assert f">{name}</text>" in text


def test_a_report_removes_the_plots_of_an_earlier_one(sample_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "assets" / "benchmarks"
    folder.mkdir(parents=True)
    (folder / "earlier-light.svg").write_text("<svg/>")
    written = write(sample_file, tmp_path)
    assert {file.name for file in folder.iterdir()} == {
        file.name for file in written if file.parent == folder
    }
    assert (folder / "results.json").read_bytes() == sample_file.read_bytes()
    assert (tmp_path / "benchmarks.md") in written
