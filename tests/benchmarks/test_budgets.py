"""Budgets are compared with what was found, and counts alone decide how a run ends."""

from dataclasses import replace
from pathlib import Path

import pytest

from harness import command_line
from harness.budgets import BUDGETS, COUNT, TIME, Budget, broken_counts, judge
from harness.catalogue import OURS
from harness.errors import BenchmarkError
from harness.plan import Plan
from harness.progress import Progress
from harness.results import IN_PROCESS, Count, ImportTime, Measurement, NoDatabase, Results, Verdict
from harness.spread import Spread


@pytest.fixture
def results() -> Results:
    return Results(made_at="now", mode="short", version="1.0.0", seed=7)


def measured(ratio: float, workload: str = "one_row", clients: int = 64) -> Measurement:
    spread = Spread(ratio, ratio, ratio)
    return Measurement(
        IN_PROCESS, "postgresql", workload, clients, OURS, 1, spread, spread, spread, 1.0, 1.0, 0
    )


def verdict(results: Results, name: str) -> Verdict:
    (found,) = [each for each in judge(results) if each.name == name]
    return found


def test_every_budget_has_a_name_of_its_own() -> None:
    names = [each.name for each in BUDGETS]

    assert len(set(names)) == len(names)


def test_what_was_not_measured_neither_holds_nor_is_broken(results: Results) -> None:
    verdicts = judge(results)

    assert [each.holds for each in verdicts] == [None] * len(BUDGETS)
    assert broken_counts(verdicts) == []


@pytest.mark.parametrize(("ratio", "holds"), [(0.5, True), (0.78, True), (0.79, False)])
def test_a_time_at_the_limit_holds(results: Results, ratio: float, holds: bool) -> None:
    results.measurements.append(measured(ratio))

    found = verdict(results, "postgresql, one_row, 64 at a time: time against by hand")

    assert (found.measured, found.holds) == (ratio, holds)


@pytest.mark.parametrize(("ratio", "holds"), [(1.19, False), (1.2, True), (3.0, True)])
def test_a_rate_has_to_reach_its_limit(results: Results, ratio: float, holds: bool) -> None:
    results.measurements.append(replace(measured(ratio), group="http"))

    found = verdict(results, "postgresql, one_row, HTTP, 64 connections: rate against by hand")

    assert (found.comparison, found.holds) == ("at_least", holds)


def test_a_broken_time_never_fails_a_run(results: Results) -> None:
    results.measurements.append(measured(9.0))
    results.no_database = NoDatabase(in_process_microseconds=500.0, http_ratio=0.1)
    results.imports.append(ImportTime("hawkapi_sqlalchemy", 900.0))

    verdicts = judge(results)

    assert sum(each.holds is False for each in verdicts) == 4
    assert broken_counts(verdicts) == []


@pytest.mark.parametrize(
    ("name", "workload", "value"),
    [
        ("round_trips", "one_row", 3.01),
        ("round_trips", "one_row_read_only", 2),
        ("round_trips", "insert", 4),
        ("connections_per_1000", "one_row", 1.5),
        ("connections_left", "shut_down", 1),
        ("failures", "hundred_rows", 1),
        ("rows_lost", "insert", 1),
        ("http_failures", "one_row", 1),
        ("http_rows_lost", "insert", 1),
    ],
)
def test_a_broken_count_fails_a_run(
    results: Results, name: str, workload: str, value: float
) -> None:
    results.counts.append(Count(name, "postgresql", workload, OURS, value))

    assert len(broken_counts(judge(results))) == 1


def test_counts_of_peers_break_nothing(results: Results) -> None:
    results.counts += [
        Count(name, "postgresql", "one_row", "published", 99.0)
        for name in ("round_trips", "connections_per_1000", "failures", "connections_left")
    ]

    assert broken_counts(judge(results)) == []


def test_an_import_is_judged_by_its_ratio_where_it_has_one(results: Results) -> None:
    results.imports += [
        ImportTime("hawkapi_sqlalchemy", 2.0),
        ImportTime("hawkapi_sqlalchemy.alembic", 300.0, 1.1),
    ]

    found = [each.measured for each in judge(results) if each.name.startswith("import ")]

    assert found == [2.0, 1.1]


class _Ended:
    """Stands for a benchmark that has run."""

    def __init__(self, results: Results | BenchmarkError) -> None:
        self._results = results

    def __call__(self, plan: Plan, progress: Progress) -> "_Ended":
        return self

    def run(self) -> Results:
        if isinstance(self._results, BenchmarkError):
            raise self._results
        return self._results


@pytest.mark.parametrize(("kind", "status"), [(TIME, 0), (COUNT, 3)])
def test_the_exit_status_tells_of_broken_counts(
    results: Results,
    kind: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results.budgets = [Budget("what is limited", 1.0, lambda _: 2.0, kind=kind).judge(results)]
    monkeypatch.setattr(command_line, "Benchmark", _Ended(results))

    assert command_line.run(["--no-http"]) == status
    said = capsys.readouterr()
    assert "BROKEN" in said.out
    assert ("what is limited: 2, and the limit is 1" in said.err) == (kind == COUNT)


def test_something_missing_is_one_message_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = BenchmarkError("MariaDB was not found", "install it")
    monkeypatch.setattr(command_line, "Benchmark", _Ended(missing))

    assert command_line.run(["--no-http"]) == 1
    assert capsys.readouterr().err == "benchmarks: MariaDB was not found. Remedy: install it.\n"


def test_the_load_generator_is_asked_for_only_where_it_is_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert command_line.run(["--full"]) == 1
    assert "apt-get install wrk" in capsys.readouterr().err
