"""A server program: its folder, its port, its process."""

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

from hawkapi_sqlalchemy.pytest.servers import ports
from hawkapi_sqlalchemy.pytest.servers.accounts import Account
from hawkapi_sqlalchemy.pytest.servers.errors import PortTakenError, ServerError
from hawkapi_sqlalchemy.pytest.servers.process import ServerProcess
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until
from hawkapi_sqlalchemy.pytest.servers.workspace import Workspace

_PORT_TRIES = 5


class Daemon(ABC):
    """A server program that listens on one port and keeps its data in one folder.

    Args:
        workspace: The run it belongs to.
        folder: Its folder, made by the subclass.
        port: Where it listens.
        process: Its process, if it runs.
    """

    #: What makes it end at once, without leaving anything behind.
    abort_signal: ClassVar[signal.Signals] = signal.SIGKILL
    host: ClassVar[str] = ports.HOST

    def __init__(
        self, workspace: Workspace, folder: Path, port: int, process: ServerProcess | None = None
    ) -> None:
        self.workspace = workspace
        self.folder = folder
        self.port = port
        self._process = process
        self._log_start = 0

    @classmethod
    def attach(cls, workspace: Workspace, address: dict[str, Any]) -> Self:
        """Return the server that another process has started; see `address`."""
        process = ServerProcess(address["pid"], address["create_time"])
        return cls(workspace, Path(address["folder"]), address["port"], process)

    @property
    def address(self) -> dict[str, Any]:
        """What another process needs for `attach`, as JSON can hold it."""
        return {
            "folder": str(self.folder),
            "port": self.port,
            "pid": self.process.pid,
            "create_time": self.process.create_time,
        }

    @property
    @abstractmethod
    def account(self) -> Account:
        """Who runs it."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return the program and its arguments; it must stay in the foreground."""

    @abstractmethod
    def ready(self) -> bool:
        """Tell whether the process just started serves clients."""

    @property
    def log(self) -> Path:
        """Where the program's output goes."""
        return self.folder / "server.log"

    @property
    def process(self) -> ServerProcess:
        """The server's process.

        Raises:
            ServerError: It has never been started.
        """
        if self._process is None:
            raise ServerError(f"the server in {self.folder} is not started")
        return self._process

    def start(self, timeout: float = 60.0) -> None:
        """Start on the server's port and data, and wait until clients are served.

        Raises:
            ServerError: It ended instead; the message holds its last output.
            TimeoutError: It does not serve within `timeout` seconds.
        """
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self._process = self.workspace.supervision.spawn(
            self.command(),
            account=self.account,
            folder=self.folder,
            log=self.log,
            stop_signal=self.abort_signal,
        )
        wait_until(
            self._ready_or_failed, what=f"{self.command()[0]} serves clients", timeout=timeout
        )

    def start_anywhere(self) -> None:
        """Start for the first time, on another port if somebody has taken the chosen one."""
        for _ in range(_PORT_TRIES):
            try:
                self.start()
            except PortTakenError:
                ports.release(self.workspace.port_folder, self.port)
                self.port = self.workspace.reserve_port()
            else:
                return
        raise PortTakenError(f"{_PORT_TRIES} ports in a row were taken")

    def output(self) -> str:
        """Return what the program has written since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _ready_or_failed(self) -> bool:
        if self.process.alive():
            return self.ready()
        output = self.output()
        problem = PortTakenError if "Address already in use" in output else ServerError
        raise problem(f"{self.command()[0]} ended instead of serving clients: {output[-2000:]}")
