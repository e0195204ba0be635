"""Workers: applications that are called directly, without a server."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from harness.catalogue import Peer, Workload
from harness.children import Child
from harness.environments import peer_environment
from harness.paths import WORKER

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 60.0
_GRACE = 30.0
_LEAD_IN = 2


@dataclass(frozen=True)
class Sample:
    """What one measurement found.

    Attributes:
        seconds: What all requests took together.
        cpu_seconds: What the application's process, all its threads, worked meanwhile.
        requests: How many there were.
        held: How many were answered well, those of the lead-in included.
        failures: How many failed, likewise.
        unanswered: How many of those had no answer at the deadline.
        p50: The median of one request's seconds.
        p99: Its 99th percentile.
    """

    seconds: float
    cpu_seconds: float
    requests: int
    held: int
    failures: int
    unanswered: int
    p50: float | None
    p99: float | None

    @property
    def hung(self) -> bool:
        """Whether requests never ended."""
        return self.unanswered > 0


class Worker:
    """A peer's application in a process of its own.

    Args:
        peer: The peer.
        url: Its database.
        log: Where its standard error goes.

    Attributes:
        packages: The versions of what is installed in its environment.
        python: The version of its Python.

    Raises:
        BenchmarkError: The application does not start.
    """

    def __init__(self, peer: Peer, url: str, log: Path) -> None:
        self.peer = peer
        self._child = Child(
            [str(peer_environment(peer.name).python), str(WORKER), peer.name],
            log,
            {},
            f"the worker of {peer.name!r}",
        )
        try:
            started = self._ask({"url": url}, _START_TIMEOUT)
        except BaseException:
            self._child.end()
            raise
        self.packages: dict[str, str] = started["packages"]
        self.python: str = started["python"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def process(self) -> psutil.Process:
        """The worker's process."""
        return psutil.Process(self._child.pid)

    def once(self, workload: Workload) -> tuple[int, str]:
        """Make one request; answer its status and body."""
        request = {"method": workload.method, "path": workload.paths[0]}
        answer = self._ask({"do": "once", **request}, _START_TIMEOUT)
        return answer["status"], answer["body"]

    def measure(
        self, workload: Workload, clients: int, requests: int, deadline: float = 20.0
    ) -> Sample:
        """Load the application.

        Args:
            workload: What is requested.
            clients: How many requests run at the same time.
            requests: How many there are in all. As many as two for each client go before, so that
                a pool that has been idle is not what is measured.
            deadline: Seconds after which requests that hang count as failed.
        """
        answer = self._ask(
            {
                "do": "measure",
                "method": workload.method,
                "paths": workload.paths,
                "status": workload.status,
                "clients": clients,
                "requests": requests,
                "lead_in": _LEAD_IN * clients,
                "deadline": deadline,
            },
            2 * deadline + _GRACE,
        )
        return Sample(
            answer["seconds"],
            answer["cpu_seconds"],
            answer["requests"],
            answer["held"],
            answer["failures"],
            answer["unanswered"],
            answer["p50"],
            answer["p99"],
        )

    def stop(self) -> None:
        """Run the application's shut-down. The process stays until `end`."""
        self._ask({"do": "stop"}, _STOP_TIMEOUT)

    def end(self) -> None:
        """End the process."""
        self._child.end()

    def _ask(self, command: dict[str, Any], timeout: float) -> dict[str, Any]:
        self._child.write_line(json.dumps(command))
        return json.loads(self._child.read_line(timeout))
