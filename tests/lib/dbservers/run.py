"""One test run: the servers its tests share, each started when first needed."""

import json
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import psutil

from dbservers import binaries, mariadb, postgresql
from dbservers.daemon import Daemon
from dbservers.errors import ServerError
from dbservers.mariadb import MariaDBServer
from dbservers.pgbouncer import PgBouncer
from dbservers.postgresql import PostgreSQLServer
from dbservers.supervision import Supervision
from dbservers.workspace import Workspace, temporary_parent


class Run:
    """The servers of one test run, shared between its processes.

    Args:
        workspace: The run's folder. It is made when the first server is started.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._known: dict[str, Daemon] = {}

    @classmethod
    def new(cls, *, durable: bool = False) -> "Run":
        """Begin a run that ends with this process.

        Args:
            durable: Leave the servers' own settings where they cost time. Default `False`.
        """
        name = f"hawkapi-tests-{os.getpid()}-{secrets.token_hex(4)}"
        return cls.join(
            {
                "root": str(temporary_parent() / name),
                "password": secrets.token_hex(8),
                "pid": os.getpid(),
                "create_time": psutil.Process().create_time(),
                "durable": durable,
            }
        )

    @classmethod
    def join(cls, description: dict[str, Any]) -> "Run":
        """Take part in another process's run; see `description`."""
        root = Path(description["root"])
        supervision = Supervision(root, description["pid"], description["create_time"])
        durable: bool = description["durable"]
        return cls(Workspace(root, description["password"], supervision, durable))

    @property
    def description(self) -> dict[str, Any]:
        """What another process needs for `join`."""
        return {
            "root": str(self.workspace.root),
            "password": self.workspace.password,
            "pid": self.workspace.supervision.controller_pid,
            "create_time": self.workspace.supervision.controller_create_time,
            "durable": self.workspace.durable,
        }

    def close(self) -> None:
        """End all servers of the run."""
        self._known.clear()
        self.workspace.close()

    def timings(self) -> dict[str, float]:
        """Return how long each shared part took to make, in seconds."""
        files = sorted(self.workspace.root.glob("*.json"))
        return {file.stem: json.loads(file.read_text())["seconds"] for file in files}

    def postgresql(self) -> PostgreSQLServer:
        """Return the shared primary."""
        binaries.postgresql()
        return self._shared(
            "postgresql",
            PostgreSQLServer,
            lambda: PostgreSQLServer.create(self.workspace, self._postgresql_template()),
        )

    def postgresql_standby(self) -> PostgreSQLServer:
        """Return the shared primary's standby."""
        primary = self.postgresql()
        return self._shared("postgresql-standby", PostgreSQLServer, primary.create_standby)

    def mariadb(self) -> MariaDBServer:
        """Return the shared primary."""
        binaries.mariadb()
        return self._shared(
            "mariadb",
            MariaDBServer,
            lambda: MariaDBServer.create(self.workspace, self._mariadb_template()),
        )

    def mariadb_replica(self) -> MariaDBServer:
        """Return the shared primary's replica."""
        primary = self.mariadb()
        return self._shared(
            "mariadb-replica",
            MariaDBServer,
            lambda: primary.create_replica(self._mariadb_template()),
        )

    def pgbouncer(self) -> PgBouncer:
        """Return the PgBouncer in front of the shared PostgreSQL primary."""
        binaries.pgbouncer()
        server = self.postgresql()
        return self._shared(
            "pgbouncer", PgBouncer, lambda: PgBouncer.create(self.workspace, server)
        )

    def own_postgresql(self) -> PostgreSQLServer:
        """Start a server that nobody shares; the caller discards it."""
        binaries.postgresql()
        self.workspace.open()
        return PostgreSQLServer.create(self.workspace, self._postgresql_template())

    def own_mariadb(self) -> MariaDBServer:
        """Start a server that nobody shares; the caller discards it."""
        binaries.mariadb()
        self.workspace.open()
        return MariaDBServer.create(self.workspace, self._mariadb_template())

    def _postgresql_template(self) -> Path:
        return self._template("postgresql-template", postgresql.initialise)

    def _mariadb_template(self) -> Path:
        return self._template("mariadb-template", mariadb.initialise)

    def _template(self, kind: str, make: Callable[[Workspace], Path]) -> Path:
        return Path(self._once(kind, lambda: {"folder": str(make(self.workspace))})["folder"])

    def _shared[D: Daemon](self, kind: str, cls: type[D], create: Callable[[], D]) -> D:
        if kind not in self._known:
            address = self._once(kind, lambda: create().address)
            self._known[kind] = cls.attach(self.workspace, address)
        return cast("D", self._known[kind])

    def _once(self, kind: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `make` answered to the first process of the run that called it."""
        self.workspace.open()
        file = self.workspace.root / f"{kind}.json"
        with self.workspace.lock(kind):
            if not file.exists():
                begin = time.monotonic()
                try:
                    made = make()
                except (ServerError, TimeoutError) as error:
                    # What failed once would fail, and take its time, for every test.
                    made = {"error": f"{kind} did not start: {error}"}
                seconds = time.monotonic() - begin
                file.write_text(json.dumps({**made, "seconds": seconds}))
            known = json.loads(file.read_text())
        if "error" in known:
            raise ServerError(known["error"])
        return known
