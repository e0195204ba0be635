"""The service's processes."""

import contextlib
import http.client
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from dbservers.at_once import at_once
from dbservers.stoppable import StoppableDaemon
from hawkapi_sqlalchemy.pytest.servers.accounts import Account
from hawkapi_sqlalchemy.pytest.servers.workspace import Workspace
from replica_service.settings import VARIABLE, Settings

_LIBRARY = Path(__file__).parents[1]


class ServiceProcess(StoppableDaemon):
    """One process that serves the application; it ends with the run, if nobody ends it before.

    A test may stop, kill, pause and start it again; the run's supervisor owns it.
    """

    settings: Settings

    @classmethod
    def new(cls, workspace: Workspace, settings: Settings) -> Self:
        """Make a process that is not started yet."""
        workspace.open()
        folder = workspace.new_folder("service", _own_account())
        process = cls(workspace, folder, workspace.reserve_port())
        process.settings = settings
        return process

    @property
    def account(self) -> Account:
        return _own_account()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    def command(self) -> list[str]:
        # The supervisor gives its children no variables of ours.
        variables = {
            VARIABLE: self.settings.dumps(),
            "PYTHONPATH": str(_LIBRARY),
            "PYTHONWARNINGS": "error",
        }
        return [
            "env",
            *(f"{name}={value}" for name, value in variables.items()),
            *(sys.executable, "-m", "replica_service", str(self.port)),
        ]

    def ready(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=1.0)
        try:
            connection.request("GET", "/livez")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def running_processes(
    workspace: Workspace,
) -> Iterator[Callable[[Settings, int], list[ServiceProcess]]]:
    """Yield a function that starts a number of processes at once; all end with the block."""
    made: list[ServiceProcess] = []

    def start(settings: Settings, number: int) -> list[ServiceProcess]:
        new = [ServiceProcess.new(workspace, settings) for _ in range(number)]
        made.extend(new)
        at_once(lambda each: each.start_anywhere(), new)
        return new

    try:
        yield start
    finally:
        at_once(lambda each: each.discard(), made)


def _own_account() -> Account:
    return Account("own", os.geteuid(), os.getegid())
