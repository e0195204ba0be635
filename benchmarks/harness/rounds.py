"""Rounds: in each, everybody is measured once, in an order that is drawn."""

import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from harness.catalogue import NO_DATABASE, REFERENCE, Peer, Workload
from harness.plan import Cell, Plan
from harness.servers import Servers
from harness.workers import Sample, Worker

type Contestant = tuple[str, str]
"""The names of a peer and a workload."""

_FIRST = 3
_FIRST_AT_LEAST = 20
_LONGEST = 10
_MOST = 20_000
# A single microsecond is looked for there.
_NO_DATABASE_ROUNDS = 4


@dataclass
class CellResult:
    """What the rounds of a cell found.

    Attributes:
        cell: The cell.
        rounds: By round, what each contestant's measurement was.
        failures: By contestant, failed requests, those of the warm-up included.
        lost: By contestant, rows that were acknowledged and are not there.
    """

    cell: Cell
    rounds: list[dict[Contestant, Sample]] = field(default_factory=list[dict[Contestant, Sample]])
    failures: dict[Contestant, int] = field(default_factory=dict[Contestant, int])
    lost: dict[Contestant, int] = field(default_factory=dict[Contestant, int])


class Arena:
    """The workers of one run. A context manager, which ends them.

    Args:
        servers: The databases.
        logs: The folder for what workers say.
        said: Is told of each worker's Python and packages.
    """

    def __init__(
        self, servers: Servers, logs: Path, said: Callable[[Worker], None] = lambda _: None
    ) -> None:
        self._servers = servers
        self._logs = logs
        self._said = said
        self._workers: dict[tuple[str, str], Worker] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:
            for worker in self._workers.values():
                stack.callback(worker.end)
        self._workers.clear()

    def worker(self, database: str, peer: Peer) -> Worker:
        """Return the peer's worker, started when it is asked for first."""
        key = (database, peer.name)
        if key not in self._workers:
            target = self._servers.target(database, peer.name)
            log = self._logs / f"{peer.name}-{database}.log"
            self._workers[key] = Worker(peer, target.url, log)
            self._said(self._workers[key])
        return self._workers[key]

    def give_up(self, database: str, peer: Peer) -> None:
        """End a worker that hangs; the next request for it starts a new one."""
        self._workers.pop((database, peer.name)).end()

    def measure(
        self, cell: Cell, contestant: tuple[Peer, Workload], requests: int, into: CellResult
    ) -> Sample:
        """Measure once."""
        peer, workload = contestant
        key = (peer.name, workload.name)
        target = self._servers.target(cell.database, peer.name)
        if workload.writes:
            target.empty()
        sample = self.worker(cell.database, peer).measure(workload, cell.clients, requests)
        into.failures[key] = into.failures.get(key, 0) + sample.failures
        if sample.hung:
            self.give_up(cell.database, peer)
        elif workload.writes:
            into.lost[key] = into.lost.get(key, 0) + max(0, sample.held - target.entries())
        return sample


def play(
    arena: Arena,
    cell: Cell,
    *,
    plan: Plan,
    order: random.Random,
    hung: set[tuple[Cell, Contestant]],
    step: Callable[[str], None],
) -> CellResult:
    """Play the rounds of a cell.

    Args:
        arena: The workers.
        cell: What is measured.
        plan: How often, and how long.
        order: What the order in each round is drawn from.
        hung: Who has hung before, and is left out; those who do now are added.
        step: Is told before each measurement who is measured.
    """
    result = CellResult(cell)
    playing = [each for each in cell.contestants if (cell, _key(each)) not in hung]
    requests = _requests(arena, cell, playing, plan, result)

    def measure(contestant: tuple[Peer, Workload]) -> Sample | None:
        step(contestant[0].name)
        sample = arena.measure(cell, contestant, requests, result)
        if sample.hung:
            playing.remove(contestant)
            hung.add((cell, _key(contestant)))
            return None
        return sample

    for contestant in list(playing):
        measure(contestant)
    for _ in range(_rounds(cell, plan)):
        order.shuffle(playing)
        samples = {_key(each): measure(each) for each in list(playing)}
        result.rounds.append({key: sample for key, sample in samples.items() if sample})
    return result


def measurements(cell: Cell, plan: Plan) -> int:
    """Count the measurements of a cell, its warm-up included."""
    return len(cell.contestants) * (_rounds(cell, plan) + 1)


def _rounds(cell: Cell, plan: Plan) -> int:
    return plan.rounds * (_NO_DATABASE_ROUNDS if cell.workload is NO_DATABASE else 1)


def _key(contestant: tuple[Peer, Workload]) -> Contestant:
    peer, workload = contestant
    return peer.name, workload.name


def _requests(
    arena: Arena,
    cell: Cell,
    playing: list[tuple[Peer, Workload]],
    plan: Plan,
    result: CellResult,
) -> int:
    """Find how many requests the reference answers in the time of a measurement.

    Each client makes several, or its first ones, when all begin at the same time, are what is
    measured; unless the reference is too slow for that.
    """
    by_name = {peer.name: (peer, workload) for peer, workload in playing}
    probe = by_name.get(REFERENCE) or playing[0]
    first = max(_FIRST_AT_LEAST, _FIRST * cell.clients)
    sample = arena.measure(cell, probe, first, result)
    # Once more, as the first requests also compile statements and open connections.
    sample = arena.measure(cell, probe, sample.requests, result)
    rate = sample.requests / sample.seconds
    sustained = min(plan.per_client * cell.clients, int(_LONGEST * plan.seconds * rate))
    return max(cell.clients, sustained, min(int(plan.seconds * rate), _MOST))
