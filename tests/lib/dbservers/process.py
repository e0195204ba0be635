"""A process that somebody else started."""

import contextlib
import signal
from collections.abc import Iterable

import psutil

from dbservers.waiting import wait_until


class ServerProcess:
    """A server's main process and its children, held so that a recycled pid is never hit.

    Args:
        pid: The main process.
        create_time: When it started, as psutil tells; None for the process of now.

    Raises:
        psutil.NoSuchProcess: It has ended already.
    """

    def __init__(self, pid: int, create_time: float | None = None) -> None:
        self._main = psutil.Process(pid)
        if create_time is not None and self._main.create_time() != create_time:
            raise psutil.NoSuchProcess(pid)
        self.pid = pid
        self.create_time = self._main.create_time()

    def alive(self) -> bool:
        """Tell whether the main process runs, a stopped one included."""
        return is_alive(self._main)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the main process, if it still runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._main.send_signal(number)

    def pause(self) -> None:
        """Stop the process and its children in their tracks."""
        # The main process first: from then on it forks no further child.
        self.send(signal.SIGSTOP)
        _send(self.children(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process and its children run on."""
        _send(self.children(), signal.SIGCONT)
        self.send(signal.SIGCONT)

    def kill(self, timeout: float = 10.0) -> None:
        """Kill the process and all its children, and wait until they are gone."""
        self.send(signal.SIGSTOP)
        family = [self._main, *self.children()]
        _send(family, signal.SIGKILL)
        wait_until(
            lambda: not any(is_alive(process) for process in family),
            what=f"process {self.pid} and its children have gone",
            timeout=timeout,
        )

    def children(self) -> list[psutil.Process]:
        """List the processes below the main one."""
        # A backend of PostgreSQL leads a session of its own, so that no process
        # group reaches them all.
        try:
            return self._main.children(recursive=True)
        except psutil.NoSuchProcess:
            return []


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
