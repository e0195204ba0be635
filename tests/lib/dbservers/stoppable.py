"""Programs that a test may stop, kill, pause and start again."""

import shutil
import signal
import socket
from abc import ABC
from typing import ClassVar

from dbservers import process
from hawkapi_sqlalchemy.pytest.servers import ports
from hawkapi_sqlalchemy.pytest.servers.daemon import Daemon
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until


class StoppableDaemon(Daemon, ABC):
    """A server program that a test may harm."""

    #: What asks it to end in good order.
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    @property
    def running(self) -> bool:
        """Whether the process is there, if only paused."""
        return self._process is not None and self._process.alive()

    def stop(self, timeout: float = 30.0) -> None:
        """Stop in good order, and wait until the process has gone."""
        self._end(self.stop_signal, timeout)

    def kill(self) -> None:
        """Kill all the server's processes, and wait until its port is closed."""
        process.kill(self.process)
        self._wait_gone(timeout=10.0)
        wait_until(lambda: not is_open(self.port), what=f"port {self.port} is closed")

    def restart(self) -> None:
        """Stop, unless it is down already, and start on the same port and data."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop the processes in their tracks: connections stay open, nobody answers."""
        process.pause(self.process)

    def resume(self) -> None:
        """Let the processes run on after `pause`."""
        process.resume(self.process)

    def abort(self) -> None:
        """End at once, and leave nothing outside the server's folder."""
        self._end(self.abort_signal, timeout=30.0)

    def discard(self) -> None:
        """End the server at once, and remove its folder."""
        self.abort()
        shutil.rmtree(self.folder)
        ports.release(self.workspace.port_folder, self.port)

    def _end(self, number: signal.Signals, timeout: float) -> None:
        if self.running:
            process.send(self.process, number)
            process.resume(self.process)
            self._wait_gone(timeout)

    def _wait_gone(self, timeout: float) -> None:
        # PostgreSQL takes the zombie of its predecessor for a running server.
        self.workspace.supervision.wait(self.process.pid, timeout)


def is_open(port: int) -> bool:
    """Tell whether something listens on a port of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((ports.HOST, port)) == 0
