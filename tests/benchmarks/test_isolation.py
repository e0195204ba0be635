"""What is made of the runs of isolated tests. No time is tested."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import commands
from harness.catalogue import DATABASES
from harness.errors import BenchmarkError
from harness.isolation import command, limits, project, report
from harness.isolation.catalogue import CREATE_ALL, EMPTY, OURS, PLUGINS, WAYS, Way, ways_on
from harness.isolation.modes import MODES
from harness.isolation.results import Isolation, StartTime, TestTime
from harness.isolation.statistics import CLOSING, WARM_UP, summarise, typical
from harness.paths import BENCHMARKS
from harness.publish import isolation, markdown
from harness.results import Results
from harness.spread import Spread

PYTHON = Path(sys.executable)


def _spread(value: float) -> Spread:
    return Spread(value, value / 2, value * 2)


def _time(way: str, database: str, milliseconds: float, ratio: float) -> TestTime:
    over_empty = None if way == EMPTY.name else _spread(milliseconds - 1)
    return TestTime(database, way, 100, 5, _spread(milliseconds), over_empty, _spread(ratio))


@pytest.fixture
def found() -> Isolation:
    """Invented numbers."""
    isolation = Isolation(
        made_at="2001-02-03T04:05:06+00:00",
        mode="full",
        seed=7,
        conditions={
            "cpu": "An invented processor",
            "cores": 2,
            "memory_gib": 4.0,
            "system": "Linux 1",
            "load_before": 0.5,
            "python": "CPython 3.12.0",
            "servers": {"postgresql": "15.5 (Debian)"},
            "packages": {"sqlalchemy": "2.1.9", "pytest": "9.2.0"},
        },
        times=[
            _time("empty", "sqlite", 1.0, 0.25),
            _time("ours", "sqlite", 4.0, 1.0),
            _time("ours", "postgresql", 5.0, 1.0),
            _time("create_all", "postgresql", 200.0, 40.0),
        ],
        start=StartTime(31, Spread(5.0, 4.0, 6.0)),
    )
    isolation.limits = limits.judge(isolation)
    return isolation


def test_the_first_tests_and_the_last_do_not_count() -> None:
    seconds = [*[9.0] * WARM_UP, 0.001, 0.002, 0.005, *[7.0] * CLOSING]
    assert typical(seconds) == pytest.approx(2.0)


def test_a_time_is_compared_within_its_round() -> None:
    rounds = [
        {"empty": 1.0, "ours": 3.0, "create_all": 30.0},
        # The machine was twice as slow.
        {"empty": 2.0, "ours": 6.0, "create_all": 60.0},
    ]
    empty, ours, create_all = summarise(
        "postgresql", rounds, {"empty": 100, "ours": 100, "create_all": 8}
    )
    assert empty.over_empty is None
    assert ours.ratio == Spread(1.0, 1.0, 1.0)
    assert ours.over_empty == Spread(3.0, 2.5, 3.5)
    assert create_all.ratio == Spread(10.0, 10.0, 10.0)
    assert create_all.milliseconds.median == 45.0
    assert (create_all.tests, create_all.rounds) == (8, 2)


@pytest.mark.parametrize(
    ("way", "database", "change", "index", "holds"),
    [
        ("create_all", "postgresql", {"ratio": Spread(10.0, 1.0, 99.0)}, 0, True),
        ("create_all", "postgresql", {"ratio": Spread(9.9, 1.0, 99.0)}, 0, False),
        ("ours", "sqlite", {"over_empty": Spread(3.0, 1.0, 99.0)}, 1, True),
        ("ours", "sqlite", {"over_empty": Spread(3.1, 1.0, 99.0)}, 1, False),
    ],
)
def test_a_median_at_the_limit_holds(
    found: Isolation, way: str, database: str, change: dict[str, Spread], index: int, holds: bool
) -> None:
    found.times = [
        replace(each, **change) if (each.way, each.database) == (way, database) else each
        for each in found.times
    ]
    assert limits.judge(found)[index].holds is holds


@pytest.mark.parametrize(("milliseconds", "holds"), [(10.0, True), (10.5, False)])
def test_the_plugin_may_add_so_much_to_a_start(
    found: Isolation, milliseconds: float, holds: bool
) -> None:
    found.start = StartTime(3, _spread(milliseconds))
    assert limits.judge(found)[2].holds is holds


def test_what_was_not_measured_neither_holds_nor_is_broken(found: Isolation) -> None:
    verdicts = limits.judge(replace(found, times=[], start=None))
    assert [each.holds for each in verdicts] == [None] * 3
    assert {each.kind for each in verdicts} == {"time"}


def test_what_is_written_is_read_again(found: Isolation, tmp_path: Path) -> None:
    results = Results("now", "full", "1.0.0", 1, isolation=found.as_dict())
    results.write(tmp_path / "results.json")
    assert Isolation.parse(Results.read(tmp_path / "results.json").isolation) == found
    assert Isolation.parse({}) is None


def test_a_file_keeps_what_else_it_holds(
    found: Isolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample: Results
) -> None:
    monkeypatch.setattr(command, "_measure", lambda mode, seed: found)
    file = tmp_path / "results.json"
    sample.write(file)
    command.write(file, mode="short", seed=7)
    assert Results.read(file) == replace(sample, isolation=found.as_dict())


def test_a_file_that_is_new_holds_nothing_else(
    found: Isolation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "_measure", lambda mode, seed: found)
    file = tmp_path / "results.json"
    assert commands.run(["isolation", str(file), "--seed", "7"]) == 0
    written = Results.read(file)
    assert (written.seed, written.isolation, written.budgets) == (7, found.as_dict(), [])
    assert "holds" in capsys.readouterr().out


def test_a_test_that_did_not_pass_fails_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(mode: str, seed: int) -> Isolation:
        raise BenchmarkError("hawkapi_db, on sqlite: not every test passed")

    monkeypatch.setattr(command, "_measure", measure)
    assert commands.run(["isolation"]) == 1
    assert "not every test passed" in capsys.readouterr().err


def test_a_broken_limit_is_shown_and_fails_nothing(
    found: Isolation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found.start = StartTime(3, _spread(50.0))
    found.limits = limits.judge(found)
    monkeypatch.setattr(command, "_measure", lambda mode, seed: found)
    assert commands.run(["isolation"]) == 0
    assert "BROKEN" in capsys.readouterr().out


def test_the_terminal_shows_every_time_the_start_and_the_limits(found: Isolation) -> None:
    shown = "\n".join(report.tables(found))
    for words in ("create_all and drop_all, NullPool", "40.00", "20.00-80.00", "adds 5.0 ms"):
        assert words in shown
    assert shown.count("holds") == 3


def test_the_page_has_limits_a_tab_for_each_database_and_the_conditions(
    found: Isolation, sample: Results
) -> None:
    text = isolation.isolation(replace(sample, isolation=found.as_dict()))
    assert text.startswith("**3 of 3 hold.**")
    assert "| PostgreSQL, create_all and drop_all: time of a test against ours | 40 |" in text
    first, second = text.index('=== "PostgreSQL"'), text.index('=== "SQLite"')
    assert first < second
    assert "| **hawkapi_db** | 1.00<br><small>0.50–2.00</small> |" in text[first:second]
    assert "| *an empty async test* | 0.25<br><small>0.12–0.50</small> | – | 1.00 | 100 |" in text
    assert "adds 5.0 ms of CPU time (4.0–6.0)" in text
    assert "the median of 31 pairs" in text
    assert "| Packages | pytest 9.2.0, sqlalchemy 2.1.9 |" in text
    assert "| Servers | PostgreSQL 15.5 |" in text


def test_a_run_without_isolated_tests_says_so(sample: Results) -> None:
    assert isolation.isolation(sample) == markdown.NOT_MEASURED


@pytest.mark.parametrize("database", DATABASES)
def test_every_database_has_the_empty_test_ours_and_another_way(database: str) -> None:
    ways = ways_on(database)
    assert {EMPTY, OURS} < set(ways)
    assert any(each.plugin != OURS.plugin for each in ways if each is not EMPTY)


@pytest.mark.parametrize("way", WAYS.values(), ids=list(WAYS))
def test_a_way_has_its_file_of_tests_and_a_plugin_that_is_left_out_elsewhere(way: Way) -> None:
    assert (BENCHMARKS / "isolation" / "project" / f"test_{way.name}.py").is_file()
    assert way.plugin is None or way.plugin in PLUGINS
    assert set(way.slow_on) <= set(way.databases)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mode", MODES)
def test_some_tests_of_each_run_count(mode: str, way: str, database: str) -> None:
    assert MODES[mode].tests_of(WAYS[way], database) > 0


def test_a_run_tells_of_every_test_and_of_what_it_ran_on(tmp_path: Path) -> None:
    ran = project.run(PYTHON, tmp_path, OURS, database="sqlite", url="", tests=2)
    assert len(ran.seconds) == WARM_UP + 2 + CLOSING
    assert all(each > 0 for each in ran.seconds)
    assert {"sqlalchemy", "pytest", "hawkapi-sqlalchemy"} <= set(ran.packages)


def test_a_run_in_which_a_test_did_not_pass_has_no_times(tmp_path: Path) -> None:
    nowhere = f"sqlite+aiosqlite:///{tmp_path}/no/such/folder/test.db"
    with pytest.raises(BenchmarkError, match="NullPool, on sqlite: not every test passed"):
        project.run(PYTHON, tmp_path, CREATE_ALL, database="sqlite", url=nowhere, tests=1)


def test_the_start_of_pytest_is_timed_without_a_project(tmp_path: Path) -> None:
    assert project.start_seconds(PYTHON, tmp_path, with_plugin=True) > 0
