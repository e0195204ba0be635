"""The peers and the workloads: what there is to measure."""

from dataclasses import dataclass

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
MARIADB = "mariadb"
DATABASES = (SQLITE, POSTGRESQL, MARIADB)

REFERENCE = "raw"
OURS = "ours"
ALONE = "hawkapi"
"""The framework without any database."""

CLIENTS = (1, 8, 64)


@dataclass(frozen=True)
class Workload:
    """One kind of request.

    Attributes:
        name: What it is called in results.
        method: The request's method.
        path: Its path; `{id}` stands for the key of a row.
        status: What a request answers that held.
        compared_with: The workload of the reference that its ratio is against.
        writes: Whether each request stores a row.
    """

    name: str
    method: str
    path: str
    status: int = 200
    compared_with: str = ""
    writes: bool = False

    @property
    def cell(self) -> str:
        """The workload in whose rounds it is measured."""
        return self.compared_with or self.name

    @property
    def paths(self) -> list[str]:
        """The paths of successive requests, over and over."""
        if "{id}" not in self.path:
            return [self.path]
        # A step that is coprime to the number of rows visits all, neighbours far apart.
        return [self.path.format(id=1 + number * 387 % ROWS) for number in range(ROWS)]


ROWS = 1000
"""How many rows there are to read."""

ONE_ROW = Workload("one_row", "GET", "/items/{id}")
ONE_ROW_READ_ONLY = Workload("one_row_read_only", "GET", "/read-only/{id}", compared_with="one_row")
INSERT = Workload("insert", "POST", "/entries", status=201, writes=True)
HUNDRED_ROWS = Workload("hundred_rows", "GET", "/items")
TWO_DEPENDENCIES = Workload("two_dependencies", "GET", "/pair")
NO_DATABASE = Workload("no_database", "GET", "/nothing")

WORKLOADS = {
    each.name: each
    for each in (
        ONE_ROW,
        ONE_ROW_READ_ONLY,
        INSERT,
        HUNDRED_ROWS,
        TWO_DEPENDENCIES,
        NO_DATABASE,
    )
}
_OF_ALL = frozenset(WORKLOADS) - {ONE_ROW_READ_ONLY.name}


@dataclass(frozen=True)
class Peer:
    """One application that is measured.

    Attributes:
        name: Its folder below `benchmarks/peers`.
        title: What tables call it.
        databases: Those it can use.
        workloads: Those it serves.
    """

    name: str
    title: str
    databases: frozenset[str] = frozenset(DATABASES)
    workloads: frozenset[str] = _OF_ALL


_PEERS = (
    Peer(REFERENCE, "SQLAlchemy by hand (the reference)"),
    Peer(OURS, "hawkapi-sqlalchemy, this tree", workloads=frozenset(WORKLOADS)),
    Peer("raw_ping", "SQLAlchemy by hand, pre-ping"),
    Peer("raw_steady", "SQLAlchemy by hand, all connections kept"),
    Peer(ALONE, "HawkAPI alone", workloads=frozenset({NO_DATABASE.name})),
    Peer("published", "hawkapi-sqlalchemy 0.2.0, as published"),
    Peer("advanced_alchemy_litestar", "Advanced Alchemy on Litestar"),
    Peer("advanced_alchemy_starlette", "Advanced Alchemy on Starlette"),
    Peer("fastapi_sqla", "fastapi-sqla on FastAPI"),
    Peer("asyncpg_pool", "asyncpg by hand", frozenset({POSTGRESQL})),
    Peer("asyncpg_floor", "asyncpg by hand, no reset (the floor)", frozenset({POSTGRESQL})),
)
PEERS = {each.name: each for each in _PEERS}
