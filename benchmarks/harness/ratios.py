"""From the rounds of all runs to ratios, each inside one round."""

import statistics
from collections.abc import Callable, Iterable, Sequence

from harness.catalogue import ALONE, NO_DATABASE, OURS, REFERENCE
from harness.plan import Cell
from harness.results import IN_PROCESS, Measurement
from harness.rounds import CellResult, Contestant
from harness.spread import Spread
from harness.workers import Sample


def summarise(
    cell: Cell, runs: Sequence[CellResult], hung: Iterable[Contestant]
) -> list[Measurement]:
    """Summarise a cell.

    Args:
        cell: The cell.
        runs: What its rounds found, by run.
        hung: Who hung in it.

    Returns:
        A measurement for each contestant.
    """
    hung = set(hung)
    reference = (REFERENCE, cell.workload.name)
    found: list[Measurement] = []
    for peer, workload in cell.contestants:
        key = (peer.name, workload.name)
        samples = [
            [played[key] for played in run.rounds if key in played]
            for run in runs
            if key not in hung
        ]
        flat = [sample for run in samples for sample in run]
        rates = [sample.requests / sample.seconds for sample in flat]
        found.append(
            Measurement(
                group=IN_PROCESS,
                database=cell.database,
                workload=workload.name,
                clients=cell.clients,
                peer=peer.name,
                runs=len(runs),
                ratio=_spread(_paired(run, key, reference) for run in runs if key not in hung),
                cpu_ratio=_spread(
                    _paired(run, key, reference, _cpu_seconds) for run in runs if key not in hung
                ),
                milliseconds=_spread(
                    [1000 * sample.p50 for sample in run if sample.p50 is not None]
                    for run in samples
                ),
                p99_milliseconds=_median(
                    [1000 * sample.p99 for sample in flat if sample.p99 is not None]
                ),
                requests_per_second=_median(rates),
                failures=sum(run.failures.get(key, 0) for run in runs),
                hung=key in hung,
            )
        )
    return found


def microseconds_without_database(runs: Sequence[CellResult]) -> float | None:
    """Tell what ours adds to a request that needs no database, over HawkAPI alone."""
    ours, alone = (OURS, NO_DATABASE.name), (ALONE, NO_DATABASE.name)
    spread = _spread(
        [
            1e6 * (played[ours].cpu_seconds - played[alone].cpu_seconds) / played[ours].requests
            for played in run.rounds
            if ours in played and alone in played
        ]
        for run in runs
    )
    return spread.median if spread else None


def _seconds(sample: Sample) -> float:
    return sample.seconds


def _cpu_seconds(sample: Sample) -> float:
    return sample.cpu_seconds


def _paired(
    run: CellResult,
    key: Contestant,
    reference: Contestant,
    of: Callable[[Sample], float] = _seconds,
) -> list[float]:
    return [
        of(played[key]) / of(played[reference])
        for played in run.rounds
        if key in played and reference in played
    ]


def _spread(runs: Iterable[Sequence[float]]) -> Spread | None:
    kept = [run for run in runs if run]
    return Spread.of_runs(kept) if kept else None


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
