"""What a run measures, and how long."""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from harness.catalogue import (
    ALONE,
    CLIENTS,
    DATABASES,
    HUNDRED_ROWS,
    NO_DATABASE,
    OURS,
    PEERS,
    POSTGRESQL,
    REFERENCE,
    TWO_DEPENDENCIES,
    WORKLOADS,
    Peer,
    Workload,
)


@dataclass(frozen=True)
class Cell:
    """What is measured in the same rounds, so that it can be compared.

    Attributes:
        database: The kind of database.
        workload: What the reference is asked for.
        clients: How many requests run at the same time.
        contestants: Who is asked for what.
    """

    database: str
    workload: Workload
    clients: int
    contestants: tuple[tuple[Peer, Workload], ...]


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        mode: `short` or `full`.
        databases: Kinds of database.
        peers: Names of peers.
        workloads: Names of workloads.
        postgresql_only: Those of them that are measured on PostgreSQL alone where it is among the
            databases: a short run is for the budgets, and they have no other of these.
        clients: Numbers of requests at the same time, in process.
        rounds: How often each measurement is repeated in a run.
        runs: How often all is repeated with new processes.
        seconds: What one measurement of the reference takes, about.
        per_client: Requests of each client in one measurement at least, unless that takes ten
            times as long.
        http: Whether to measure over HTTP.
        http_databases: Kinds of database for that.
        http_rounds: How often each of those measurements is repeated in a run.
        http_seconds: What one of those takes; the load generator knows whole seconds alone.
        http_connections: Numbers of connections for those.
        counted: Names of peers whose round trips and connections are counted.
        count_requests: Over how many requests round trips are counted.
        connection_requests: Over how many requests new connections are counted.
        import_rounds: How often each import is timed; 0 for not at all.
        seed: What the order in the rounds is drawn from.
        logs: A folder that keeps what the processes of peers say, if that is wanted.
    """

    mode: str
    databases: tuple[str, ...] = DATABASES
    peers: tuple[str, ...] = tuple(PEERS)
    workloads: tuple[str, ...] = tuple(WORKLOADS)
    postgresql_only: tuple[str, ...] = ()
    clients: tuple[int, ...] = CLIENTS
    rounds: int = 3
    runs: int = 3
    seconds: float = 0.15
    per_client: int = 8
    http: bool = True
    http_databases: tuple[str, ...] = (POSTGRESQL,)
    http_rounds: int = 1
    http_seconds: int = 3
    http_connections: tuple[int, ...] = (8, 64)
    counted: tuple[str, ...] = (OURS, REFERENCE, "raw_ping", "raw_steady", "published")
    count_requests: int = 100
    connection_requests: int = 2000
    import_rounds: int = 15
    seed: int = 0
    logs: Path | None = None

    @property
    def chosen(self) -> list[Peer]:
        """The peers."""
        return [PEERS[name] for name in self.peers]

    @property
    def counted_peers(self) -> list[Peer]:
        """The peers whose round trips and connections are counted."""
        return [peer for peer in self.chosen if peer.name in self.counted]

    def contestants(self, database: str, cell: str) -> tuple[tuple[Peer, Workload], ...]:
        """Tell who is measured in the rounds of a workload, and what each is asked for."""
        return tuple(
            (peer, WORKLOADS[name])
            for peer, name in product(self.chosen, self.workloads)
            if WORKLOADS[name].cell == cell
            and name in peer.workloads
            and database in peer.databases
        )

    def cells(self) -> list[Cell]:
        """Return what is measured in process, in order."""
        return [
            Cell(database, WORKLOADS[name], clients, contestants)
            for database in self.databases
            for name in dict.fromkeys(WORKLOADS[each].cell for each in self.workloads)
            for clients in self.clients
            if self._is_measured(database, name, clients)
            and (contestants := self.contestants(database, name))
        ]

    def _is_measured(self, database: str, name: str, clients: int) -> bool:
        if name in self.postgresql_only and POSTGRESQL in self.databases:
            return database == POSTGRESQL
        # Without a database neither its kind nor a number of clients that wait for it matters.
        return name != NO_DATABASE.name or (
            database == self.databases[0] and clients == min(self.clients)
        )


FULL = Plan("full")
SHORT = replace(
    FULL,
    mode="short",
    peers=(REFERENCE, OURS, ALONE),
    postgresql_only=(HUNDRED_ROWS.name, TWO_DEPENDENCIES.name),
    clients=(1, 64),
    rounds=2,
    runs=1,
    seconds=0.1,
    per_client=4,
    http_rounds=2,
    http_seconds=1,
    count_requests=30,
    connection_requests=1000,
    import_rounds=5,
)
