"""Ratios are taken inside rounds, and summed up over rounds and runs."""

import pytest

from harness.catalogue import ALONE, NO_DATABASE, ONE_ROW, ONE_ROW_READ_ONLY, OURS, PEERS, REFERENCE
from harness.plan import Cell
from harness.ratios import microseconds_without_database, summarise
from harness.rounds import CellResult
from harness.spread import Spread
from harness.workers import Sample

RAW_READS = (REFERENCE, ONE_ROW.name)
OUR_READS = (OURS, ONE_ROW.name)
OUR_READ_ONLY = (OURS, ONE_ROW_READ_ONLY.name)
CELL = Cell(
    "sqlite",
    ONE_ROW,
    8,
    (
        (PEERS[REFERENCE], ONE_ROW),
        (PEERS[OURS], ONE_ROW),
        (PEERS[OURS], ONE_ROW_READ_ONLY),
    ),
)


def sample(seconds: float, cpu_seconds: float = 1.0, requests: int = 100) -> Sample:
    return Sample(seconds, cpu_seconds, requests, requests, 0, 0, seconds / 50, seconds / 10)


def result(*rounds: dict[tuple[str, str], Sample]) -> CellResult:
    return CellResult(CELL, rounds=list(rounds))


def test_the_spread_of_one_value_is_that_value() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)


def test_the_quartiles_are_values_between_those_found() -> None:
    assert Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]) == Spread(3.0, 2.0, 4.0)


def test_each_run_is_one_voice_however_many_rounds_it_has() -> None:
    spread = Spread.of_runs([[1.0] * 9, [2.0], [3.0]])

    assert spread.median == 2.0
    assert spread.q1 == 1.0


def test_ratios_are_paired_in_a_round() -> None:
    """A round that was slow for all says nothing about anybody."""
    rounds = [
        {RAW_READS: sample(slow), OUR_READS: sample(slow / 2), OUR_READ_ONLY: sample(slow / 4)}
        for slow in (1.0, 100.0, 3.0)
    ]

    raw, ours, read_only = summarise(CELL, [result(*rounds)], hung=[])

    assert raw.ratio == Spread(1.0, 1.0, 1.0)
    assert ours.ratio == Spread(0.5, 0.5, 0.5)
    assert (read_only.peer, read_only.workload) == OUR_READ_ONLY
    assert read_only.ratio == Spread(0.25, 0.25, 0.25)


def test_times_are_of_one_request_in_milliseconds() -> None:
    (raw, *_) = summarise(CELL, [result({RAW_READS: sample(2.0)})], hung=[])

    assert raw.milliseconds == Spread(40.0, 40.0, 40.0)
    assert raw.p99_milliseconds == 200.0
    assert raw.requests_per_second == 50.0


def test_who_hung_has_no_ratio() -> None:
    played = result({RAW_READS: sample(1.0), OUR_READS: sample(1.0)})
    played.failures[OUR_READS] = 64

    _, ours, _ = summarise(CELL, [played], hung=[OUR_READS])

    assert ours.hung
    assert (ours.ratio, ours.milliseconds, ours.failures) == (None, None, 64)


def test_without_the_reference_there_is_no_ratio() -> None:
    _, ours, _ = summarise(CELL, [result({OUR_READS: sample(1.0)})], hung=[])

    assert ours.ratio is None
    assert ours.requests_per_second == 100.0


def test_failures_are_those_of_all_runs() -> None:
    runs = [result({RAW_READS: sample(1.0)}) for _ in range(3)]
    for run in runs:
        run.failures[RAW_READS] = 2

    assert summarise(CELL, runs, hung=[])[0].failures == 6


def test_what_a_route_without_a_database_costs_is_a_difference_in_a_round() -> None:
    ours, alone = (OURS, NO_DATABASE.name), (ALONE, NO_DATABASE.name)
    rounds = [{ours: sample(1.0, cpu + 0.0002), alone: sample(1.0, cpu)} for cpu in (0.1, 0.5, 0.2)]

    assert microseconds_without_database([result(*rounds)]) == pytest.approx(2.0)
    assert microseconds_without_database([result({ours: sample(1.0)})]) is None
