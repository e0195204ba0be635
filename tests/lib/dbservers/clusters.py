"""A primary with several replicas, as tests use and harm them."""

from collections.abc import Callable, Iterable

from dbservers.at_once import at_once
from dbservers.mariadb import MariaDBServer
from dbservers.postgresql import PostgreSQLServer
from hawkapi_sqlalchemy.pytest.servers.server import DATABASE

type Server = PostgreSQLServer | MariaDBServer


class Cluster:
    """One database on a primary and on its replicas, which a test may stop, kill and promote.

    `primary` and `replicas` keep the roles that the servers had at first, and that an application
    was told; `leader` is who takes writes now. Replicas are named by their place, from 0.

    Args:
        primary: The server that takes writes at first.
        replicas: The servers that follow it, with all its databases.
        database: The database's name on all of them.

    Attributes:
        leader: The primary, or the replica promoted last.
    """

    def __init__(
        self, primary: Server, replicas: Iterable[Server], database: str = DATABASE
    ) -> None:
        self.primary = primary
        self.replicas = list(replicas)
        self.database = database
        self.leader = primary
        self._sources = dict.fromkeys(range(len(self.replicas)), primary)

    @property
    def servers(self) -> list[Server]:
        """The primary and the replicas."""
        return [self.primary, *self.replicas]

    @property
    def primary_url(self) -> str:
        """The URL of the database on the primary."""
        return self.primary.url(self.database)

    @property
    def replica_urls(self) -> list[str]:
        """The URLs of the database on the replicas, which refuse writes."""
        return [each.url(self.database) for each in self.replicas]

    def wait_for_catch_up(self, *which: int, timeout: float = 60.0) -> None:
        """Wait until replicas show all that is committed by now on the server they follow.

        Args:
            which: The replicas; by default all that are none but replicas still.
            timeout: Seconds for each of them.

        Raises:
            TimeoutError: One of them does not in time.
        """
        for place in which or self._sources:
            position = self._sources[place].position()
            self.replicas[place].wait_for_position(position, timeout)

    def pause_replay(self, *which: int) -> None:
        """Let replicas, by default all, fall behind until `resume_replay`, or until a restart."""
        for place in which or self._sources:
            self.replicas[place].pause_replay()

    def resume_replay(self, *which: int) -> None:
        """Let replicas, by default all, catch up; harmless for those that are not paused."""
        for place in which or self._sources:
            self.replicas[place].resume_replay()

    def promote(self, which: int, *, others_follow: bool = True) -> None:
        """Make a replica the leader, and wait until it takes writes.

        The old primary is left alone: kill it or make it read-only first. PostgreSQL's replica
        replays all it has received before; MariaDB's loses what it has not replayed yet.

        Args:
            which: The replica.
            others_follow: Let the other replicas follow it. A server that has replayed more than
                it cannot. Otherwise they follow whom they did.
        """
        promoted = self.replicas[which]
        promoted.promote()
        del self._sources[which]
        self.leader = promoted
        if others_follow:
            for place in self._sources:
                self.replicas[place].follow(promoted)
                self._sources[place] = promoted

    def heal(self, timeout: float = 30.0) -> bool:
        """Undo what a test did to the processes and to the replay.

        Returns:
            Whether the primary leads again, and every replica shows all that it has.
        """
        if self.leader is not self.primary:
            return False
        at_once(_revive, self.servers)
        self.resume_replay()
        try:
            self.wait_for_catch_up(timeout=timeout)
        except TimeoutError:
            return False
        return True

    def discard(self) -> None:
        """End all servers at once, and remove their folders."""
        at_once(lambda server: server.discard(), self.servers)


def create_cluster(primary: Server, create_replica: Callable[[], Server], number: int) -> Cluster:
    """Give a primary replicas, started at once."""
    try:
        replicas = at_once(lambda _: create_replica(), range(number))
    except BaseException:
        primary.discard()
        raise
    return Cluster(primary, replicas)


def _revive(server: Server) -> None:
    if server.running:
        server.resume()
    else:
        server.start()
