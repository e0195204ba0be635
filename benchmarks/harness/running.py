"""One run of the whole benchmark."""

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from harness import budgets, conditions
from harness.agreement import check_answers
from harness.catalogue import NO_DATABASE, OURS, Peer
from harness.counts import count_on_the_wire, failures
from harness.environments import peer_environment
from harness.http_rounds import HttpRounds
from harness.imports import time_imports
from harness.plan import Cell, Plan
from harness.progress import Progress
from harness.ratios import microseconds_without_database, summarise
from harness.results import NoDatabase, Results
from harness.rounds import Arena, CellResult, Contestant, measurements, play
from harness.servers import Servers
from harness.workers import Worker


class Benchmark:
    """Carries a plan out.

    Args:
        plan: What to measure.
        progress: Is told how far it is.
    """

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self._plan = plan
        self._progress = progress
        self._order = random.Random(plan.seed)
        self._packages: dict[str, dict[str, str]] = {}

    def run(self) -> Results:
        """Measure everything, and judge it.

        Raises:
            BenchmarkError: Something that is needed is missing, or a peer does not work.
        """
        plan = self._plan
        results = Results(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            mode=plan.mode,
            version=conditions.version(),
            seed=plan.seed,
            conditions=conditions.machine(),
        )
        self._prepare(plan.chosen)
        with Servers() as servers:
            logs = plan.logs or servers.folder("logs")
            logs.mkdir(exist_ok=True)
            for database in plan.databases:
                self._progress.phase(f"starting {database}")
                servers.start(database)
            results.conditions["servers"] = {each: servers.version(each) for each in plan.databases}
            self._count(servers, logs, results)
            self._in_process(servers, logs, results)
            if plan.http:
                self._over_http(servers, logs, results)
        if OURS in plan.peers and plan.import_rounds:
            self._progress.phase("imports")
            python = peer_environment(OURS).python
            results.imports = time_imports(
                python, plan.import_rounds, self._order, self._progress.step
            )
        results.conditions["packages"] = self._packages
        results.budgets = budgets.judge(results)
        return results

    def _prepare(self, peers: list[Peer]) -> None:
        for peer in peers:
            environment = peer_environment(peer.name)
            if not environment.is_current:
                self._progress.phase(f"making the environment of {peer.name}")
                environment.prepare()

    def _count(self, servers: Servers, logs: Path, results: Results) -> None:
        self._progress.phase("round trips and connections")
        results.counts += count_on_the_wire(self._plan, servers, logs, self._progress.step)

    def _in_process(self, servers: Servers, logs: Path, results: Results) -> None:
        plan = self._plan
        hung: set[tuple[Cell, Contestant]] = set()
        found: dict[Cell, list[CellResult]] = defaultdict(list)
        for number in range(plan.runs):
            self._progress.phase(f"in process, run {number + 1} of {plan.runs}")
            with Arena(servers, logs, self._told) as arena:
                for cell in plan.cells():
                    check_answers(arena, cell)
                    title = f"{cell.database}, {cell.workload.name}, {cell.clients} at a time"
                    found[cell].append(
                        play(
                            arena,
                            cell,
                            plan=plan,
                            order=self._order,
                            hung=hung,
                            step=lambda peer, title=title: self._progress.step(f"{title}: {peer}"),
                        )
                    )
        for cell, runs in found.items():
            results.measurements += summarise(
                cell, runs, [key for where, key in hung if where == cell]
            )
            if cell.workload is NO_DATABASE:
                results.no_database = NoDatabase(microseconds_without_database(runs))
        results.counts += failures(run for runs in found.values() for run in runs)

    def _over_http(self, servers: Servers, logs: Path, results: Results) -> None:
        rounds = HttpRounds(self._plan, servers, logs, self._order, self._progress.step)
        for number in range(self._plan.runs):
            self._progress.phase(f"over HTTP, run {number + 1} of {self._plan.runs}")
            rounds.play()
        rounds.summarise()
        results.measurements += rounds.measurements
        results.counts += rounds.counts
        results.no_database = replace(results.no_database, http_ratio=rounds.ratio_without_database)

    def _told(self, worker: Worker) -> None:
        self._packages[worker.peer.name] = conditions.told(worker.packages)


def steps(plan: Plan) -> int:
    """Count the steps of a plan, about."""
    in_process = plan.runs * sum(measurements(cell, plan) for cell in plan.cells())
    counted = len(plan.counted_peers) * len(plan.databases)
    # One row (also read-only for ours), insert and no database, of all peers.
    http = 3 * len(plan.http_connections) * len(plan.peers) * (plan.http_rounds + 1) * plan.runs
    return in_process + counted + (http if plan.http else 0) + plan.import_rounds
