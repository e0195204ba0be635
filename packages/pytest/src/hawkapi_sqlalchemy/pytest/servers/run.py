"""One test run: the servers its tests share, each started when first needed."""

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import psutil

from hawkapi_sqlalchemy.pytest.servers.daemon import Daemon
from hawkapi_sqlalchemy.pytest.servers.errors import ServerError
from hawkapi_sqlalchemy.pytest.servers.supervision import Supervision
from hawkapi_sqlalchemy.pytest.servers.tools import require_tools
from hawkapi_sqlalchemy.pytest.servers.workspace import Workspace, temporary_parent

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.pytest.servers.mariadb import MariaDBServer
    from hawkapi_sqlalchemy.pytest.servers.postgresql import PostgreSQLServer
    from hawkapi_sqlalchemy.pytest.servers.server import DatabaseServer


class Run:
    """The servers of one test run, shared between its processes.

    A run costs nothing until a server is asked for.

    Args:
        workspace: The run's folder. It is made when the first server is started.

    Examples:
        >>> run = Run.new()
        >>> try:
        ...     url = run.postgresql().url()
        ... finally:
        ...     run.close()
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._known: dict[str, Daemon] = {}

    @classmethod
    def new(cls) -> Self:
        """Begin a run that ends with `close`, or else with this process."""
        name = f"hawkapi-tests-{os.getpid()}-{secrets.token_hex(4)}"
        return cls.join(
            {
                "root": str(temporary_parent() / name),
                "password": secrets.token_hex(8),
                "pid": os.getpid(),
                "create_time": psutil.Process().create_time(),
            }
        )

    @classmethod
    def join(cls, description: dict[str, Any]) -> Self:
        """Take part in another process's run.

        Args:
            description: What that process's `Run.description` answers.
        """
        root = Path(description["root"])
        supervision = Supervision(root, description["pid"], description["create_time"])
        return cls(Workspace(root, description["password"], supervision))

    @property
    def description(self) -> dict[str, Any]:
        """What another process needs for `join`: texts and numbers, as JSON can hold them."""
        return {
            "root": str(self.workspace.root),
            "password": self.workspace.password,
            "pid": self.workspace.supervision.controller_pid,
            "create_time": self.workspace.supervision.controller_create_time,
        }

    def close(self) -> None:
        """End all servers of the run, and remove its folder.

        For the process that began the run: those that joined would end it for all.
        """
        self._known.clear()
        self.workspace.close()

    def postgresql(self) -> "PostgreSQLServer":
        """Return the run's PostgreSQL server; the first who asks waits for its start.

        Raises:
            ServerMissingError: This machine cannot run one; see its `remedy`.
            ServerError: It does not start.
        """
        require_tools("postgresql")
        # Here, for those who have one driver only, and for all who need none yet.
        from hawkapi_sqlalchemy.pytest.servers.postgresql import PostgreSQLServer

        return self.server(PostgreSQLServer)

    def mariadb(self) -> "MariaDBServer":
        """Return the run's MariaDB server; the first who asks waits for its start.

        Raises:
            ServerMissingError: This machine cannot run one; see its `remedy`.
            ServerError: It does not start.
        """
        require_tools("mariadb")
        from hawkapi_sqlalchemy.pytest.servers.mariadb import MariaDBServer

        return self.server(MariaDBServer)

    def server[S: "DatabaseServer"](self, cls: type[S]) -> S:
        """Return the run's one server of a class; a run has one class of each kind.

        Raises:
            ServerMissingError: This machine cannot run one.
            ServerError: It does not start.
        """
        cls.programs()
        return self.shared(cls.kind, cls, lambda: cls.create(self.workspace, self.template(cls)))

    def template(self, cls: type["DatabaseServer"]) -> Path:
        """Return the data folder that all servers of a class begin with, made once.

        Raises:
            ServerError: It could not be made.
        """
        folder = self.once(
            f"{cls.kind}-template", lambda: {"folder": str(cls.initialise(self.workspace))}
        )
        return Path(folder["folder"])

    def shared[D: Daemon](self, name: str, cls: type[D], create: Callable[[], D]) -> D:
        """Return the daemon that the first process which asked for `name` has created.

        Raises:
            ServerError: It does not start.
        """
        if name not in self._known:
            address = self.once(name, lambda: create().address)
            self._known[name] = cls.attach(self.workspace, address)
        return cast("D", self._known[name])

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `make` answered to the first process of the run that called it.

        Raises:
            ServerError: `make` failed, now or for that process.
        """
        self.workspace.open()
        file = self.workspace.root / f"{name}.json"
        with self.workspace.lock(name):
            if not file.exists():
                try:
                    made = make()
                except (ServerError, TimeoutError) as error:
                    # What failed once would fail, and take its time, for every test.
                    made = {"error": f"{name} did not start: {error}"}
                file.write_text(json.dumps(made))
            known = json.loads(file.read_text())
        if "error" in known:
            raise ServerError(known["error"])
        return known
