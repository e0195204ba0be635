"""Rounds over HTTP: in each, every server is loaded once, in an order that is drawn."""

import random
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from harness.catalogue import ALONE, INSERT, NO_DATABASE, ONE_ROW, OURS, REFERENCE, Peer, Workload
from harness.counts import HTTP_FAILURES, HTTP_LOST
from harness.over_http import HttpSample, Site
from harness.plan import Plan
from harness.results import HTTP, Count, Measurement
from harness.rounds import Contestant
from harness.servers import Servers
from harness.spread import Spread

type Played = dict[Contestant, HttpSample]
"""What one round found, by peer and workload."""

_CELLS = (ONE_ROW, INSERT, NO_DATABASE)


class HttpRounds:
    """Measures over HTTP.

    Args:
        plan: What to measure.
        servers: The databases.
        logs: The folder for what servers say.
        order: What the order in each round is drawn from.
        step: Is told before each measurement what is measured.

    Attributes:
        measurements: What was found.
    """

    def __init__(
        self,
        plan: Plan,
        servers: Servers,
        logs: Path,
        order: random.Random,
        step: Callable[[str], None],
    ) -> None:
        self.measurements: list[Measurement] = []
        self._found: dict[tuple[str, Workload, int], list[list[Played]]] = {}
        self._totals: dict[tuple[str, str, str, str], int] = {}
        self._plan = plan
        self._servers = servers
        self._logs = logs
        self._order = order
        self._step = step
        self._ratios_alone: list[list[float]] = []

    @property
    def counts(self) -> list[Count]:
        """Failed requests, and rows that were acknowledged and are not there."""
        return [Count(*key, value=value) for key, value in self._totals.items()]

    @property
    def ratio_without_database(self) -> float | None:
        """Requests a second of ours on a route without a database, against HawkAPI alone."""
        runs = [run for run in self._ratios_alone if run]
        return Spread.of_runs(runs).median if runs else None

    def play(self) -> None:
        """Measure everything in one run, with new servers."""
        for database in self._plan.http_databases:
            with ExitStack() as stack:
                sites = {
                    peer.name: stack.enter_context(
                        Site(
                            peer,
                            self._servers.target(database, peer.name).url,
                            self._logs / f"{peer.name}-http.log",
                        )
                    )
                    for peer in self._plan.chosen
                    if database in peer.databases
                }
                for workload in _CELLS:
                    if workload.name in self._plan.workloads:
                        for connections in self._plan.http_connections:
                            self._cell(database, workload, connections, sites)

    def _cell(
        self, database: str, cell: Workload, connections: int, sites: dict[str, Site]
    ) -> None:
        contestants = list(self._plan.contestants(database, cell.name))
        found: list[Played] = []
        # The first round warms up, and is not kept.
        for number in range(self._plan.http_rounds + 1):
            self._order.shuffle(contestants)
            played: Played = {}
            for peer, workload in contestants:
                self._step(f"HTTP, {workload.name}, {connections} connections: {peer.name}")
                target = self._servers.target(database, peer.name)
                if workload.writes:
                    target.empty()
                seconds = self._plan.http_seconds if number else 1
                sample = sites[peer.name].measure(workload, connections, seconds)
                played[peer.name, workload.name] = sample
                if workload.writes:
                    held = sample.requests - sample.refused
                    self._add(HTTP_LOST, database, workload, peer, held - target.entries())
                self._add(HTTP_FAILURES, database, workload, peer, sample.failures)
            if number:
                found.append(played)
        self._found.setdefault((database, cell, connections), []).append(found)

    def _add(self, name: str, database: str, workload: Workload, peer: Peer, value: int) -> None:
        key = (name, database, workload.name, peer.name)
        # More rows than answers is in order: the load ends with requests on their way.
        self._totals[key] = self._totals.get(key, 0) + max(0, value)

    def summarise(self) -> None:
        """Make measurements of what all runs found."""
        for (database, cell, connections), runs in self._found.items():
            self._summarise(database, cell, connections, runs)

    def _summarise(
        self, database: str, cell: Workload, connections: int, runs: list[list[Played]]
    ) -> None:
        for peer, workload in self._plan.contestants(database, cell.name):
            key = (peer.name, workload.name)
            samples = [played[key] for found in runs for played in found]
            ratios = [_ratios(found, key, (REFERENCE, cell.name)) for found in runs]
            self.measurements.append(
                Measurement(
                    group=HTTP,
                    database=database,
                    workload=workload.name,
                    clients=connections,
                    peer=peer.name,
                    runs=len(runs),
                    ratio=Spread.of_runs(ratios) if any(ratios) else None,
                    cpu_ratio=None,
                    milliseconds=Spread.of([1000 * sample.p50 for sample in samples]),
                    p99_milliseconds=statistics.median(1000 * sample.p99 for sample in samples),
                    requests_per_second=statistics.median(sample.rate for sample in samples),
                    failures=sum(sample.failures for sample in samples),
                )
            )
        if cell is NO_DATABASE:
            self._ratios_alone += [
                _ratios(found, (OURS, cell.name), (ALONE, cell.name)) for found in runs
            ]


def _ratios(found: list[Played], key: Contestant, reference: Contestant) -> list[float]:
    return [
        played[key].rate / played[reference].rate
        for played in found
        if key in played and reference in played and played[reference].rate
    ]
