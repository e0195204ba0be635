"""One run of the whole benchmark."""

import random
import tempfile
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from harness import conditions
from harness.environments import peer_environment
from harness.catalogue import NO_DATABASE
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
        """Measure everything.

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
        for peer in plan.chosen:
            environment = peer_environment(peer.name)
            if not environment.is_current:
                self._progress.phase(f"making the environment of {peer.name}")
                environment.prepare()
        with Servers() as servers, tempfile.TemporaryDirectory() as logs:
            for database in plan.databases:
                self._progress.phase(f"starting {database}")
                servers.start(database)
            results.conditions["servers"] = {each: servers.version(each) for each in plan.databases}
            self._in_process(servers, Path(logs), results)
        results.conditions["packages"] = self._packages
        return results

    def _in_process(self, servers: Servers, logs: Path, results: Results) -> None:
        plan = self._plan
        cells = plan.cells()
        hung: set[tuple[Cell, Contestant]] = set()
        found: dict[Cell, list[CellResult]] = defaultdict(list)
        for number in range(plan.runs):
            self._progress.phase(f"in process, run {number + 1} of {plan.runs}")
            with Arena(servers, logs, self._told) as arena:
                for cell in cells:
                    title = f"{cell.database}, {cell.workload.name}, {cell.clients} at a time"
                    found[cell].append(
                        play(
                            arena,
                            cell,
                            rounds=plan.rounds,
                            seconds=plan.seconds,
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

    def _told(self, worker: Worker) -> None:
        self._packages[worker.peer.name] = conditions.told(worker.packages)


def steps(plan: Plan) -> int:
    """Count the steps of a plan."""
    return plan.runs * sum(measurements(cell, plan.rounds) for cell in plan.cells())
