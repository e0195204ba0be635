"""One run of this project's tests: the servers they share, and servers of a test's own."""

import json
import time
from collections.abc import Callable
from typing import Any

from dbservers import binaries
from dbservers.clusters import Cluster, create_cluster
from dbservers.mariadb import MariaDBServer
from dbservers.pgbouncer import PgBouncer
from dbservers.postgresql import PostgreSQLServer
from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.pytest.servers import run as package


class Run(package.Run):
    """The servers of one test run, shared between its processes."""

    def postgresql(self) -> PostgreSQLServer:
        """Return the shared primary."""
        return self.server(PostgreSQLServer)

    def postgresql_standby(self) -> PostgreSQLServer:
        """Return the shared primary's standby."""
        primary = self.postgresql()
        return self.shared("postgresql-standby", PostgreSQLServer, primary.create_standby)

    def mariadb(self) -> MariaDBServer:
        """Return the shared primary."""
        return self.server(MariaDBServer)

    def mariadb_replica(self) -> MariaDBServer:
        """Return the shared primary's replica."""
        primary = self.mariadb()
        return self.shared(
            "mariadb-replica",
            MariaDBServer,
            lambda: primary.create_replica(self.template(MariaDBServer)),
        )

    def pgbouncer(self) -> PgBouncer:
        """Return the PgBouncer in front of the shared PostgreSQL primary."""
        binaries.pgbouncer()
        server = self.postgresql()
        return self.shared("pgbouncer", PgBouncer, lambda: PgBouncer.create(self.workspace, server))

    def own_postgresql(self) -> PostgreSQLServer:
        """Start a server that nobody shares; the caller discards it."""
        return self._own(PostgreSQLServer)

    def own_mariadb(self) -> MariaDBServer:
        """Start a server that nobody shares; the caller discards it."""
        return self._own(MariaDBServer)

    def postgresql_cluster(self, replicas: int = 2) -> Cluster:
        """Start a primary and standbys that nobody shares; the caller discards them."""
        primary = self.own_postgresql()
        return create_cluster(primary, primary.create_standby, replicas)

    def mariadb_cluster(self, replicas: int = 2) -> Cluster:
        """Start a primary and replicas that nobody shares; the caller discards them."""
        primary = self.own_mariadb()
        template = self.template(MariaDBServer)
        return create_cluster(primary, lambda: primary.create_full_replica(template), replicas)

    def timings(self) -> dict[str, float]:
        """Return how long each shared part took to make, in seconds, unless it failed."""
        made = {
            file.stem: json.loads(file.read_text())
            for file in sorted(self.workspace.root.glob("*.json"))
        }
        return {name: known["seconds"] for name, known in made.items() if "seconds" in known}

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        def timed() -> dict[str, Any]:
            begin = time.monotonic()
            return {**make(), "seconds": time.monotonic() - begin}

        return super().once(name, timed)

    def _own[S: DatabaseServer](self, cls: type[S]) -> S:
        cls.programs()
        return cls.create(self.workspace, self.template(cls))
