"""The results of a run, as its JSON file holds them."""

from pathlib import Path
from typing import Any

import msgspec

SCHEMA = 1


class Spread(msgspec.Struct, frozen=True):
    """A value measured several times."""

    median: float
    q1: float | None = None
    q3: float | None = None


class Conditions(msgspec.Struct, frozen=True):
    """What a run was made on."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    servers: dict[str, str]
    packages: dict[str, dict[str, str]]


class Measurement(msgspec.Struct, frozen=True):
    """One peer at one workload."""

    group: str
    database: str
    workload: str
    clients: int
    peer: str
    runs: int
    ratio: Spread | None = None
    milliseconds: Spread | None = None
    p99_milliseconds: float | None = None
    requests_per_second: float | None = None
    failures: int = 0


class Count(msgspec.Struct, frozen=True):
    """Something that is counted, and hence the same on every machine."""

    name: str
    database: str
    workload: str
    peer: str
    value: float


class Import(msgspec.Struct, frozen=True):
    """The time of one `import`."""

    name: str
    milliseconds: float
    ratio: float | None = None


class NoDatabase(msgspec.Struct, frozen=True):
    """What a route pays that uses no database."""

    in_process_microseconds: float | None = None
    http_ratio: float | None = None


class Budget(msgspec.Struct, frozen=True):
    """A limit that the design sets; `measured` and `holds` are missing where nothing was run."""

    name: str
    kind: str
    comparison: str
    limit: float
    measured: float | None = None
    holds: bool | None = None


class PoolPoint(msgspec.Struct, frozen=True):
    """A pool under a number of clients; `ratio` is of throughput, to raw's with the same pool."""

    database: str
    peer: str
    pool_size: int
    max_overflow: int
    clients: int
    runs: int
    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    connections_per_second: float
    connections_per_1000: float
    failures: int
    ratio: Spread | None = None


class MemorySample(msgspec.Struct, frozen=True):
    """Memory after a number of requests."""

    requests: int
    rss_mib: float
    objects: int


class Memory(msgspec.Struct, frozen=True):
    """Memory over many requests; slopes are of the last half, for 1,000 requests."""

    database: str
    samples: list[MemorySample]
    rss_kib_per_1000: float
    objects_per_1000: float
    rss_limit: float
    objects_limit: float
    flat: bool


class Databases(msgspec.Struct, frozen=True):
    """What registered databases cost a request that uses the primary alone."""

    databases: int
    runs: int
    microseconds: float
    kib: float
    start_milliseconds: float
    opened_at_start: int
    opened_by_requests: int
    ratio: Spread | None = None


class Scale(msgspec.Struct, frozen=True):
    """How costs grow."""

    pool: list[PoolPoint] = []
    memory: list[Memory] = []
    databases: list[Databases] = []


class Results(msgspec.Struct, frozen=True):
    """A run."""

    schema: int
    made_at: str
    mode: str
    version: str
    seed: int
    conditions: Conditions
    measurements: list[Measurement] = []
    counts: list[Count] = []
    imports: list[Import] = []
    no_database: NoDatabase | None = None
    budgets: list[Budget] = []
    scale: Scale = Scale()


def parse(document: dict[str, Any]) -> Results:
    """Take a document for results.

    Raises:
        ValueError: It is none, or of another schema.
    """
    if document.get("schema") != SCHEMA:
        raise ValueError(f"results of schema {document.get('schema')!r}; this reads {SCHEMA}")
    return msgspec.convert(document, Results)


def load(file: Path) -> Results:
    """Read a file of results.

    Raises:
        ValueError: It holds none, or results of another schema.
    """
    return parse(msgspec.json.decode(file.read_bytes()))
