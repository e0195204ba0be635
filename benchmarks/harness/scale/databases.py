"""What registered databases cost a request that uses the primary alone."""

import random
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.scale.counters import PostgreSQLCounter
from harness.scale.load import READ
from harness.scale.modes import Mode
from harness.scale.process import WorkerProcess, worker_process
from harness.scale.results import Databases
from harness.spread import Spread
from hawkapi_sqlalchemy.pytest.servers.postgresql import PostgreSQLServer

COUNTS = (1, 2, 4, 16, 64)
PRIMARY = "primary"
_DEADLINE = 60.0
_PATIENCE = 90.0

type Found = dict[str, Any]


def database_names(count: int) -> list[str]:
    """Answer the names: a primary, a replica, and named ones as for shards.

    Args:
        count: How many, at least 1.
    """
    return [PRIMARY, "replica", *(f"shard:{number}" for number in range(count - 2))][:count]


def measure(
    server: PostgreSQLServer, python: Path, mode: Mode, order: random.Random
) -> list[Databases]:
    """Measure applications that differ in how many databases they register.

    Args:
        server: The server.
        python: The interpreter of our environment.
        mode: How often, and how much.
        order: Shuffles.
    """
    counter = PostgreSQLCounter(server)
    starts: dict[int, list[Found]] = {}
    for count in _rounds(mode.starts - 1, order):
        with ExitStack() as stack:
            starts.setdefault(count, []).append(_start(stack, server, counter, python, count)[2])
    times: dict[int, list[float]] = {}
    opened: dict[int, int] = {}
    with ExitStack() as stack:
        running: dict[int, tuple[WorkerProcess, str]] = {}
        for count in COUNTS:
            worker, database, found = _start(stack, server, counter, python, count)
            starts.setdefault(count, []).append(found)
            running[count] = worker, database
        for count in _rounds(1, order):
            _run(running[count][0], mode)
        for count in _rounds(mode.rounds, order):
            times.setdefault(count, []).append(_run(running[count][0], mode))
        for count, (_, database) in running.items():
            opened[count] = _unused(counter, database) - (count - 1)
    return [
        Databases(
            databases=count,
            runs=mode.rounds,
            ratio=Spread.of([a / b for a, b in zip(times[count], times[1], strict=True)]),
            microseconds=1e6 * statistics.median(times[count]),
            kib=statistics.median(each["kib"] for each in starts[count]),
            start_milliseconds=1000 * statistics.median(each["seconds"] for each in starts[count]),
            opened_at_start=max(each["opened"] for each in starts[count]),
            opened_by_requests=opened[count],
        )
        for count in COUNTS
    ]


def _rounds(rounds: int, order: random.Random) -> Iterator[int]:
    for _ in range(rounds):
        yield from order.sample(COUNTS, len(COUNTS))


def _start(
    stack: ExitStack,
    server: PostgreSQLServer,
    counter: PostgreSQLCounter,
    python: Path,
    count: int,
) -> tuple[WorkerProcess, str, Found]:
    database = server.create_database()
    stack.callback(server.drop_database, database)
    url = server.url(database)
    worker = stack.enter_context(worker_process(python))
    worker.ask("schema", url=url)
    before = counter.opened(database)
    found = worker.ask("start_databases", urls=dict.fromkeys(database_names(count), url))
    return worker, database, {**found, "opened": counter.opened(database) - before}


def _run(worker: WorkerProcess, mode: Mode) -> float:
    requests = mode.databases_requests
    answer = worker.ask(
        "load", within=_PATIENCE, routes=[READ], clients=1, requests=requests, deadline=_DEADLINE
    )
    if answer["failures"]:
        raise RuntimeError(f"{answer['failures']} of {requests} requests failed")
    return answer["seconds"] / requests


def _unused(counter: PostgreSQLCounter, database: str) -> int:
    found = counter.open_by_name(database)
    return sum(connections for name, connections in found.items() if name != PRIMARY)
