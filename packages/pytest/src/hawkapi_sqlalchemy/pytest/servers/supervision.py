"""The clients' side of the supervisor."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil

from hawkapi_sqlalchemy.pytest.servers.accounts import Account
from hawkapi_sqlalchemy.pytest.servers.errors import ServerError
from hawkapi_sqlalchemy.pytest.servers.process import ServerProcess
from hawkapi_sqlalchemy.pytest.servers.supervisor import SOCKET
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until

# `-P` keeps out the modules of the working directory, which are a user's. Our own folder comes
# last, where it hides nothing, in case the path does not have it already.
_MAIN = f"""
import sys
sys.path.append({str(Path(__file__).parents[3])!r})
from hawkapi_sqlalchemy.pytest.servers.supervisor import main
main(*sys.argv[1:])
"""


@dataclass(frozen=True)
class Supervision:
    """Start processes which end with the run.

    Args:
        root: The run's folder.
        controller_pid: The process whose end ends the run.
        controller_create_time: When that process started, which tells it from a
            later one with a recycled pid.
    """

    root: Path
    controller_pid: int
    controller_create_time: float

    @property
    def started(self) -> bool:
        """Whether the supervisor is there."""
        return (self.root / SOCKET).exists()

    def start(self) -> None:
        """Start the supervisor.

        Raises:
            ServerError: It does not start; the message holds its output.
        """
        log_file = self.root / "supervisor.log"
        # It must hold no pipe of ours: whoever reads pytest's output would wait for it.
        with log_file.open("ab") as log:
            ended = subprocess.run(
                [
                    *(sys.executable, "-P", "-c", _MAIN, str(self.root)),
                    *(str(self.controller_pid), repr(self.controller_create_time)),
                ],
                env=_supervisor_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if ended.returncode != 0:
            raise ServerError(f"the supervisor does not start: {log_file.read_text()}")

    def spawn(
        self,
        argv: list[str],
        *,
        account: Account,
        folder: Path,
        log: Path,
        stdin: Path | None = None,
        stop_signal: signal.Signals = signal.SIGKILL,
    ) -> ServerProcess:
        """Start a program in a session of its own.

        Args:
            argv: The program and its arguments.
            account: Who runs it.
            folder: Its working directory.
            log: Where its output is appended.
            stdin: What it reads; nothing by default.
            stop_signal: What makes it end at once when the run is over.

        Raises:
            ServerError: It could not be started, or has ended already.
        """
        pid = self._spawn(argv, account, folder, log, stdin, stop_signal)
        try:
            return ServerProcess(pid)
        except psutil.NoSuchProcess:
            raise ServerError(f"{argv[0]} ended at once: {log.read_text()}") from None

    def run(
        self,
        argv: list[str],
        *,
        account: Account,
        folder: Path,
        log: Path,
        stdin: Path | None = None,
    ) -> None:
        """Run a program to its end; see `spawn`.

        Raises:
            ServerError: It failed.
        """
        pid = self._spawn(argv, account, folder, log, stdin, signal.SIGKILL)
        if status := self.wait(pid, timeout=60.0):
            raise ServerError(f"{argv[0]} ended with status {status}: {log.read_text()}")

    def wait(self, pid: int, timeout: float) -> int:
        """Wait until a process has ended and is no zombie either; return its status.

        Raises:
            TimeoutError: It has not within `timeout` seconds.
        """
        wait_until(
            lambda: self._exit_status(pid) is not None,
            what=f"process {pid} has ended",
            timeout=timeout,
        )
        return cast("int", self._exit_status(pid))

    def end(self) -> None:
        """End everything the supervisor started, and the supervisor."""
        with self._connect(timeout=60.0) as connection:
            connection.sendall(b'{"do": "end"}\n')
            connection.recv(1)

    def _spawn(
        self,
        argv: list[str],
        account: Account,
        folder: Path,
        log: Path,
        stdin: Path | None,
        stop_signal: signal.Signals,
    ) -> int:
        answer = self._ask(
            do="spawn",
            argv=argv,
            uid=account.uid,
            gid=account.gid,
            cwd=str(folder),
            log=str(log),
            stdin=str(stdin or os.devnull),
            stop_signal=int(stop_signal),
            env=_environment(folder),
        )
        if "error" in answer:
            raise ServerError(f"{argv[0]} cannot be started: {answer['error']}")
        return answer["pid"]

    def _exit_status(self, pid: int) -> int | None:
        return self._ask(do="status", pid=pid)["status"]

    def _ask(self, **request: Any) -> dict[str, Any]:
        with self._connect(timeout=30.0) as connection, connection.makefile("r") as lines:
            connection.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(lines.readline())

    def _connect(self, timeout: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout)
        try:
            connection.connect(str(self.root / SOCKET))
        except OSError as error:
            connection.close()
            raise ServerError(f"the supervisor in {self.root} is gone: {error}") from error
        return connection


def _supervisor_environment() -> dict[str, str]:
    # Its lines are not among those whose coverage a user measures, and it ends after the report.
    coverage = ("COV_CORE_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(coverage)}
    return {**kept, "PYTHONWARNINGS": "default"}


def _environment(folder: Path) -> dict[str, str]:
    # None of ours: PGDATA, PGHOST, MYSQL_HOME and others would steer the programs.
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC", "HOME": str(folder), "TMPDIR": str(folder)}
