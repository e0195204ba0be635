"""A primary and its replica, as tests use them."""

from dataclasses import dataclass

from dbservers.mariadb import MariaDBServer
from dbservers.postgresql import PostgreSQLServer


@dataclass(frozen=True)
class Replicated:
    """One database on a primary and on its replica.

    Args:
        primary: The server that takes writes.
        replica: The server that follows.
        database: The database's name on both.
    """

    primary: PostgreSQLServer | MariaDBServer
    replica: PostgreSQLServer | MariaDBServer
    database: str

    @property
    def primary_url(self) -> str:
        """The URL of the database on the primary."""
        return self.primary.url(self.database)

    @property
    def replica_url(self) -> str:
        """The URL of the database on the replica, which refuses writes."""
        return self.replica.url(self.database)

    def wait_for_catch_up(self, timeout: float = 60.0) -> None:
        """Wait until the replica shows all that is committed on the primary by now.

        Raises:
            TimeoutError: It does not within `timeout` seconds.
        """
        self.replica.wait_for_position(self.primary.position(), timeout)

    def pause_replay(self) -> None:
        """Let the replica fall behind until `resume_replay`."""
        self.replica.pause_replay()

    def resume_replay(self) -> None:
        """Let the replica catch up; harmless if it is not paused."""
        self.replica.resume_replay()


@dataclass(frozen=True)
class PostgreSQLPair(Replicated):
    """A primary and a standby of one test's own, which it may kill."""

    primary: PostgreSQLServer
    replica: PostgreSQLServer

    @property
    def standby(self) -> PostgreSQLServer:
        """The replica, by PostgreSQL's name for it."""
        return self.replica

    @property
    def standby_url(self) -> str:
        """The URL of the database on the standby."""
        return self.replica_url

    def promote(self) -> None:
        """Make the standby a primary, and wait until it takes writes."""
        self.standby.promote()
