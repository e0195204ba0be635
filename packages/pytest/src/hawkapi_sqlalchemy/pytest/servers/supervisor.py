"""Own the processes of one test run, and end them when the run is over.

A daemon, begun with `main` in a process of its own. It starts what clients ask it
to over a socket in the run's folder, so that every server is its child; when the
process that it watches is gone (killed, even) or when told to, it stops them all,
removes the folder and ends.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from hawkapi_sqlalchemy.pytest.servers.process import ServerProcess, is_alive
from hawkapi_sqlalchemy.pytest.servers.sysv import remove_leftovers
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until

SOCKET = "supervisor.sock"
_WATCH_INTERVAL = 0.25
_GRACE = 5.0
_PR_SET_CHILD_SUBREAPER = 36


class Supervisor:
    """The daemon's state.

    Args:
        root: The run's folder, removed at the end.
        listener: The bound socket.
        watched: The process whose end ends the run; None if it is gone already.
    """

    def __init__(self, root: Path, listener: socket.socket, watched: ServerProcess | None) -> None:
        self._root = root
        self._listener = listener
        self._watched = watched
        self._stop_signals: dict[int, signal.Signals] = {}
        self._statuses: dict[int, int] = {}

    def run(self) -> None:
        """Serve until the run is over, then clean up."""
        _adopt_orphans()
        self._listener.settimeout(_WATCH_INTERVAL)
        told = None
        while told is None and self._watched is not None and self._watched.alive():
            self._reap()
            with contextlib.suppress(TimeoutError):
                told = self._serve(self._listener.accept()[0])
        # From here on nobody can start anything any more.
        self._listener.close()
        self._end_processes()
        # A server whose first thread has ended looks like a zombie while the others end.
        with contextlib.suppress(TimeoutError):
            wait_until(self._reap, what="all children are reaped", timeout=_GRACE)
        self._remove_root()
        # Closes the connection of who told us, if anybody did: for them we are gone then.
        os._exit(0)

    def _serve(self, connection: socket.socket) -> socket.socket | None:
        """Answer one request; return the connection of who asks for the end."""
        connection.settimeout(_GRACE)
        try:
            with connection.makefile("r") as lines:
                request = json.loads(lines.readline())
            if request["do"] == "end":
                return connection
            answer = self._spawn(request) if request["do"] == "spawn" else self._status(request)
            connection.sendall(json.dumps(answer).encode() + b"\n")
        except (OSError, ValueError) as error:
            # A client that died half-way must not take the servers of others with it.
            sys.stderr.write(f"a request failed: {error!r}\n")
        connection.close()
        return None

    def _spawn(self, request: dict[str, Any]) -> dict[str, Any]:
        demote = os.geteuid() == 0
        with Path(request["log"]).open("ab") as log, Path(request["stdin"]).open("rb") as stdin:
            try:
                child = subprocess.Popen(
                    request["argv"],
                    stdin=stdin,
                    stdout=log,
                    stderr=log,
                    cwd=request["cwd"],
                    env=request["env"],
                    start_new_session=True,
                    user=request["uid"] if demote else None,
                    group=request["gid"] if demote else None,
                    extra_groups=[] if demote else None,
                )
            except OSError as error:
                return {"error": str(error)}
        self._stop_signals[child.pid] = signal.Signals(request["stop_signal"])
        self._statuses.pop(child.pid, None)
        # `_reap` waits for it; the object must not do so too.
        child.returncode = 0
        return {"pid": child.pid}

    def _status(self, request: dict[str, Any]) -> dict[str, Any]:
        self._reap()
        return {"status": self._statuses.get(request["pid"])}

    def _reap(self) -> bool:
        """Collect the children that have ended; tell whether none is left."""
        try:
            while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
                self._statuses[reaped[0]] = os.waitstatus_to_exitcode(reaped[1])
        except ChildProcessError:
            return True
        return False

    def _end_processes(self) -> None:
        family = psutil.Process().children(recursive=True)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                if number := self._stop_signals.get(process.pid):
                    process.send_signal(number)
                # What a test has paused sees no other signal.
                process.send_signal(signal.SIGCONT)
        with contextlib.suppress(TimeoutError):
            wait_until(
                lambda: not any(map(is_alive, family)), what="they have gone", timeout=_GRACE
            )
        while survivors := [p for p in {*family, *_descendants()} if is_alive(p)]:
            for process in survivors:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.01)

    def _remove_root(self) -> None:
        remove_leftovers(self._root)
        deadline = time.monotonic() + 4 * _GRACE
        # A worker that outlives its controller for a moment may still write there.
        while self._root.exists() and time.monotonic() < deadline:
            shutil.rmtree(self._root, ignore_errors=True)


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _adopt_orphans() -> None:
    # A server's children that outlive it become ours, and are found at the end.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _watch(pid: int, create_time: float) -> ServerProcess | None:
    try:
        return ServerProcess(pid, create_time)
    except psutil.NoSuchProcess:
        return None


def main(root: str, pid: str, create_time: str) -> None:
    """Become a daemon which listens already when this process returns.

    Args:
        root: The run's folder.
        pid: The process whose end ends the run.
        create_time: When that process started.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(Path(root) / SOCKET))
    listener.listen(64)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    Supervisor(Path(root), listener, _watch(int(pid), float(create_time))).run()
