"""What is counted, exactly: round trips, connections, failures."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path

import psutil

from harness.catalogue import INSERT, ONE_ROW, ONE_ROW_READ_ONLY, Peer, Workload
from harness.plan import Plan
from harness.proxy import Proxy
from harness.results import Count
from harness.rounds import CellResult
from harness.servers import Servers
from harness.targets import ServerTarget, Target
from harness.workers import Worker

ROUND_TRIPS = "round_trips"
CONNECTIONS = "connections_per_1000"
LEFT = "connections_left"
FAILURES = "failures"
LOST = "rows_lost"
HTTP_FAILURES = "http_failures"
HTTP_LOST = "http_rows_lost"

_COUNTED = (ONE_ROW, ONE_ROW_READ_ONLY, INSERT)
_WARM_UP = 20
_CLIENTS = 8
_THOUSAND = 1000
# What a connection needs to close after the application said so.
_CLOSE_TIMEOUT = 5.0


def count_on_the_wire(
    plan: Plan, servers: Servers, logs: Path, step: Callable[[str], None]
) -> list[Count]:
    """Count what goes between applications and their databases.

    Each peer gets a new process, and a proxy between it and the server. Round trips are counted
    with one request at a time after a warm-up, new connections with eight at a time, and
    connections that are left after the application's shut-down, while its process still lives.
    """
    found: list[Count] = []
    for database in plan.databases:
        for peer in plan.counted_peers:
            if database in peer.databases:
                step(f"counting, {database}: {peer.name}")
                found += _count_peer(plan, servers, logs, database, peer)
    return found


def failures(results: Iterable[CellResult]) -> list[Count]:
    """Count failed requests and lost rows of all rounds."""
    totals: dict[tuple[str, str, str, str], int] = {}
    for result in results:
        for name, by_contestant in ((FAILURES, result.failures), (LOST, result.lost)):
            for (peer, workload), value in by_contestant.items():
                key = (name, result.cell.database, workload, peer)
                totals[key] = totals.get(key, 0) + value
    return [Count(*key, value=value) for key, value in totals.items()]


def _count_peer(plan: Plan, servers: Servers, logs: Path, database: str, peer: Peer) -> list[Count]:
    target = servers.target(database, peer.name)
    target.empty()
    found: list[Count] = []
    with ExitStack() as stack:
        url = target.url
        proxy = None
        if isinstance(target, ServerTarget):
            proxy = stack.enter_context(Proxy(*target.address))
            url = target.url_through(proxy.port)
        worker = stack.enter_context(Worker(peer, url, logs / f"{peer.name}-count.log"))
        if proxy is not None:
            for workload in _COUNTED:
                if workload.name in peer.workloads:
                    trips = _round_trips(worker, proxy, workload, plan.count_requests)
                    found.append(Count(ROUND_TRIPS, database, workload.name, peer.name, trips))
            opened = _opened(worker, proxy, ONE_ROW, plan.connection_requests)
            found.append(Count(CONNECTIONS, database, ONE_ROW.name, peer.name, opened))
        else:
            worker.measure(ONE_ROW, _CLIENTS, _WARM_UP)
        process = worker.process
        worker.stop()
        left = _left(target, process)
        found.append(Count(LEFT, database, "shut_down", peer.name, left))
    return found


def _round_trips(worker: Worker, proxy: Proxy, workload: Workload, requests: int) -> float:
    worker.measure(workload, 1, _WARM_UP)
    before = proxy.tally
    sample = worker.measure(workload, 1, requests)
    # A measurement's lead-in passes the proxy too.
    return (proxy.tally - before).round_trips / (sample.held + sample.failures)


def _opened(worker: Worker, proxy: Proxy, workload: Workload, requests: int) -> float:
    worker.measure(workload, _CLIENTS, _WARM_UP * _CLIENTS)
    before = proxy.tally
    sample = worker.measure(workload, _CLIENTS, requests)
    opened = (proxy.tally - before).connections
    return _THOUSAND * opened / (sample.held + sample.failures)


def _left(target: Target, process: psutil.Process) -> int:
    deadline = time.monotonic() + _CLOSE_TIMEOUT
    while (left := target.connections(process)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left
