"""Pools of two sizes under 1 to 512 clients."""

import random
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.catalogue import REFERENCE
from harness.scale.counters import Counter
from harness.scale.load import READ
from harness.scale.modes import Mode
from harness.scale.process import WorkerProcess, worker_process
from harness.scale.results import PoolPoint
from harness.spread import Spread
from hawkapi_sqlalchemy.pytest.servers.server import DatabaseServer

POOLS = ((5, 0), (5, 10))
CLIENTS = (1, 8, 64, 512)
_DEADLINE = 60.0
_PATIENCE = 90.0

type Found = dict[str, Any]


@dataclass(frozen=True)
class Site:
    """A server, and how its connections are counted."""

    name: str
    server: DatabaseServer
    counter: Counter


def measure(
    site: Site, pythons: Mapping[str, Path], mode: Mode, order: random.Random
) -> list[PoolPoint]:
    """Measure every peer on every pool, at every number of clients.

    Args:
        site: Where.
        pythons: The interpreter of each peer's environment; raw must be among them.
        mode: How often, and how much.
        order: Shuffles.
    """
    with ExitStack() as stack:
        workers: dict[tuple[str, int, int], WorkerProcess] = {}
        databases: dict[tuple[str, int, int], str] = {}
        for peer, python in pythons.items():
            for pool in POOLS:
                # A database of its own, so that its connections are told from the others'.
                database = site.server.create_database()
                stack.callback(site.server.drop_database, database)
                url = site.server.url(database)
                worker = stack.enter_context(worker_process(python))
                worker.ask("schema", url=url)
                worker.ask("start", peer=peer, url=url, size=pool[0], overflow=pool[1])
                workers[peer, *pool], databases[peer, *pool] = worker, database
        found: dict[tuple[str, int, int, int], list[Found]] = {}
        for round_number in range(mode.rounds + 1):
            cells = [(*pool, clients) for pool in POOLS for clients in CLIENTS]
            order.shuffle(cells)
            for size, overflow, clients in cells:
                peers = list(pythons)
                order.shuffle(peers)
                for peer in peers:
                    key = (peer, size, overflow)
                    answer = _run(workers[key], databases[key], site.counter, clients, mode)
                    # The first round warms up.
                    if round_number:
                        found.setdefault((*key, clients), []).append(answer)
    return [_point(site.name, key, found) for key in sorted(found)]


def _run(worker: WorkerProcess, database: str, counter: Counter, clients: int, mode: Mode) -> Found:
    before = counter.opened(database)
    answer = worker.ask(
        "load",
        within=_PATIENCE,
        routes=[READ],
        clients=clients,
        requests=max(mode.pool_requests, mode.pool_requests_each * clients),
        deadline=_DEADLINE,
    )
    return {**answer, "opened": counter.opened(database) - before}


def _spread(values: list[float]) -> Spread | None:
    return Spread.of(values) if values else None


def _rate(each: Found) -> float:
    return each["completed"] / each["seconds"]


def _point(
    database: str,
    key: tuple[str, int, int, int],
    found: Mapping[tuple[str, int, int, int], list[Found]],
) -> PoolPoint:
    peer, size, overflow, clients = key
    rounds = found[key]
    references = found[REFERENCE, size, overflow, clients]
    seconds = sum(each["seconds"] for each in rounds)
    opened = sum(each["opened"] for each in rounds)
    return PoolPoint(
        database=database,
        peer=peer,
        pool_size=size,
        max_overflow=overflow,
        clients=clients,
        runs=len(rounds),
        ratio=_spread(
            [_rate(a) / _rate(b) for a, b in zip(rounds, references, strict=True) if _rate(b)]
        ),
        requests_per_second=statistics.median(map(_rate, rounds)),
        p50_milliseconds=statistics.median(each.get("p50", _DEADLINE * 1000) for each in rounds),
        p99_milliseconds=statistics.median(each.get("p99", _DEADLINE * 1000) for each in rounds),
        connections_per_second=opened / seconds,
        connections_per_1000=1000 * opened / max(1, sum(each["completed"] for each in rounds)),
        failures=sum(each["failures"] for each in rounds),
    )
