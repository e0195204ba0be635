"""The file of results says what the run found, and is understood again."""

import json
from pathlib import Path

import pytest

from harness.errors import BenchmarkError
from harness.report import tables
from harness.results import (
    HTTP,
    IN_PROCESS,
    Count,
    ImportTime,
    Measurement,
    NoDatabase,
    Results,
    Verdict,
)
from harness.spread import Spread

SPREAD = Spread(0.75, 0.5, 1.25)
RESULTS = Results(
    made_at="2026-01-02T03:04:05+00:00",
    mode="full",
    version="1.0.0",
    seed=42,
    conditions={"cores": 2, "servers": {"postgresql": "15.1"}},
    measurements=[
        Measurement(
            IN_PROCESS, "sqlite", "insert", 8, "ours", 3, SPREAD, SPREAD, SPREAD, 2.5, 400.0, 0
        ),
        Measurement(
            HTTP, "postgresql", "one_row", 64, "raw", 1, None, None, None, None, None, 7, hung=True
        ),
    ],
    counts=[Count("round_trips", "mariadb", "insert", "ours", 3.0)],
    imports=[ImportTime("hawkapi_sqlalchemy", 1.5)],
    no_database=NoDatabase(0.5, None),
    budgets=[Verdict("a budget", "count", "at_most", 3.0, 3.0, holds=True)],
    scale={"anything": [1, 2]},
    isolation={"anything": [3]},
)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "results.json"

    RESULTS.write(file)

    assert Results.read(file) == RESULTS


def test_the_file_has_the_documented_shape(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    RESULTS.write(file)

    found = json.loads(file.read_text())

    assert found["schema"] == 1
    assert found["measurements"][0]["ratio"] == {"median": 0.75, "q1": 0.5, "q3": 1.25}
    assert found["measurements"][1]["ratio"] is None
    assert found["no_database"] == {"in_process_microseconds": 0.5, "http_ratio": None}
    assert set(found["budgets"][0]) == {
        *("name", "kind", "comparison", "limit", "measured", "holds")
    }


def test_a_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"schema": 99}')

    with pytest.raises(BenchmarkError, match=r"results\.json is of schema 99, not 1"):
        Results.read(file)


def test_the_tables_show_every_measurement_and_budget() -> None:
    shown = "\n".join(tables(RESULTS))

    for words in ("sqlite, insert, 8 at a time", "0.75", "0.50-1.25", "hung", "a budget", "holds"):
        assert words in shown
