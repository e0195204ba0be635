"""Load over HTTP: granian serves, wrk asks."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.catalogue import NO_DATABASE, ROWS, Peer, Workload
from harness.children import Child
from harness.environments import peer_environment
from harness.errors import BenchmarkError
from harness.paths import WORKER

_HOST = "127.0.0.1"
_START_TIMEOUT = 60.0
_GRACE = 30.0
_SCRIPT = Path(__file__).with_name("load.lua")
_MARK = "RESULT "


@dataclass(frozen=True)
class HttpSample:
    """What one measurement over HTTP found.

    Attributes:
        seconds: How long it took.
        requests: Requests that were answered.
        refused: Those answered with an error status.
        broken: Requests without an answer: connections that failed, and time-outs.
        p50: The median of one request's seconds.
        p99: Its 99th percentile.
    """

    seconds: float
    requests: int
    refused: int
    broken: int
    p50: float
    p99: float

    @property
    def failures(self) -> int:
        """Requests that failed, in whatever way."""
        return self.refused + self.broken

    @property
    def rate(self) -> float:
        """Requests a second that held."""
        return (self.requests - self.refused) / self.seconds


def wrk() -> str:
    """Find the load generator.

    Raises:
        BenchmarkError: It is not installed.
    """
    found = shutil.which("wrk")
    if found is None:
        raise BenchmarkError(
            "the load generator wrk was not found",
            "`apt-get install wrk`, or leave HTTP out with --no-http",
        )
    return found


class Site:
    """A peer's application behind a real server. A context manager, which ends it.

    Args:
        peer: The peer.
        url: Its database.
        log: Where the server's output goes.

    Raises:
        BenchmarkError: It does not serve.
    """

    def __init__(self, peer: Peer, url: str, log: Path) -> None:
        self._port = _free_port()
        self._child = Child(
            [
                str(peer_environment(peer.name).python),
                str(WORKER / "serve.py"),
                peer.name,
                str(self._port),
            ],
            log,
            {"BENCHMARK_URL": url},
            f"the server of {peer.name!r}",
        )
        try:
            self._wait()
        except BaseException:
            self._child.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.end()

    def measure(self, workload: Workload, connections: int, seconds: int) -> HttpSample:
        """Load the server.

        Args:
            workload: What is requested.
            connections: How many connections ask at the same time.
            seconds: For how long.

        Raises:
            BenchmarkError: wrk failed.
        """
        ended = subprocess.run(
            [
                *(wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(_SCRIPT)),
                *(f"http://{_HOST}:{self._port}", "--"),
                *(workload.method, workload.path, str(ROWS)),
            ],
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE,
            check=False,
        )
        for line in ended.stdout.splitlines():
            if line.startswith(_MARK):
                return HttpSample(**json.loads(line.removeprefix(_MARK)))
        raise BenchmarkError(f"wrk failed: {ended.stdout}{ended.stderr}")

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            if not self._child.running:
                raise self._child.error("has ended")
            if time.monotonic() > deadline:
                raise self._child.error(f"did not serve within {_START_TIMEOUT:g} s")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            url = f"http://{_HOST}:{self._port}{NO_DATABASE.path}"
            with urllib.request.urlopen(url, timeout=5.0) as answer:
                return answer.status == NO_DATABASE.status
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as listener:
        return listener.getsockname()[1]
