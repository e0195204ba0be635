"""MariaDB: a primary, and replicas by GTID."""

from pathlib import Path
from typing import ClassVar

from dbservers.server import REPLICATED, DatabaseServer
from hawkapi_sqlalchemy.pytest.servers import mariadb as package

# On the command line and not among the settings: a template that had a binary log would replay it
# on every replica.
_BINARY_LOG = (
    "--log-bin=binlog",
    "--relay-log=relay",
    "--log-slave-updates",
    "--binlog-format=ROW",
    "--sync-binlog=0",
    "--gtid-strict-mode",
)


class MariaDBServer(DatabaseServer, package.MariaDBServer):
    """A MariaDB server; `create` makes a primary, `create_replica` its replica."""

    #: What of its command line is about replication.
    replication: ClassVar[tuple[str, ...]] = (
        *_BINARY_LOG,
        # The filter of `create_replica` does not outlive the process.
        "--skip-slave-start",
        # What is done in a database that is not replicated passes the filter if it is about no
        # table: CREATE PROCEDURE, for instance.
        "--slave-skip-errors=1049,1146,1305,1360,1539",
    )

    def command(self) -> list[str]:
        # Every server needs an id of its own, and a port is one.
        return [*super().command(), *self.replication, f"--server-id={self.port}"]

    def create_replica(self, template: Path) -> "MariaDBServer":
        """Start a replica of this server, which must still have its whole binary log.

        It replays only the databases that `replicated_name` has named: a shared primary's log
        holds those of every other test too, which would take longer the later it is started.
        It does not replicate again once it was stopped.
        """
        replica = MariaDBServer.create(self.workspace, template)
        replica.execute(
            f"SET GLOBAL replicate_wild_do_table = '{REPLICATED.replace('_', '\\_')}%.%'"
        )
        replica.execute("SET GLOBAL read_only = ON")
        replica.follow(self)
        return replica

    def create_full_replica(self, template: Path) -> "MariaDBReplica":
        """Start a replica of all databases of this server, which has its whole binary log."""
        replica = MariaDBReplica.create(self.workspace, template)
        replica.follow(self)
        return replica

    def follow(self, primary: "MariaDBServer") -> None:
        """Let this replica replay another server's log, from where it has got to."""
        self.execute("STOP REPLICA")
        self.execute(
            f"CHANGE MASTER TO MASTER_HOST = '{primary.host}', MASTER_PORT = {primary.port}, "
            f"MASTER_USER = '{self.admin}', MASTER_PASSWORD = '{self.workspace.password}', "
            "MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1"
        )
        self.execute("START REPLICA")

    def position(self) -> str:
        """Return how far this primary's log goes."""
        return self.execute("SELECT @@gtid_binlog_pos")[0][0]

    def wait_for_position(self, position: str, timeout: float) -> None:
        """Wait until this replica has replayed its primary's log so far.

        Raises:
            TimeoutError: It has not within `timeout` seconds.
        """
        if self.execute(f"SELECT MASTER_GTID_WAIT('{position}', {timeout})") != [(0,)]:
            raise TimeoutError(
                f"waited {timeout:g} s in vain until the replica has replayed {position}"
            )

    def pause_replay(self) -> None:
        """Let this replica fall behind."""
        self.execute("STOP REPLICA SQL_THREAD")

    def resume_replay(self) -> None:
        """Let this replica catch up, whichever of its threads is stopped."""
        self.execute("START REPLICA")

    def promote(self) -> None:
        """Make this replica a primary, with what it has replayed by now."""
        self.execute("STOP REPLICA")
        self.execute("RESET REPLICA ALL")
        self.execute("SET GLOBAL read_only = OFF")


class MariaDBReplica(MariaDBServer):
    """A replica of every database, which replicates again after each start."""

    replication = (*_BINARY_LOG, "--read-only")
