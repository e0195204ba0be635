"""What was found about scale, and how it is written in a file of results."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from harness.spread import Spread


@dataclass(frozen=True)
class PoolPoint:
    """A pool under a number of clients.

    Attributes:
        database: The kind of database.
        peer: Whose pool.
        pool_size: Connections that stay open.
        max_overflow: Connections that may be opened beyond.
        clients: How many requests run at the same time.
        runs: In how many rounds.
        ratio: The throughput, to the reference's with the same pool in the same rounds; higher is
            better.
        requests_per_second: The median over rounds.
        p50_milliseconds: Of one request, the median over rounds.
        p99_milliseconds: Likewise.
        connections_per_second: New connections, over all rounds.
        connections_per_1000: New connections for 1,000 requests, over all rounds.
        failures: Requests that failed or did not end, over all rounds.
    """

    database: str
    peer: str
    pool_size: int
    max_overflow: int
    clients: int
    runs: int
    ratio: Spread | None
    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    connections_per_second: float
    connections_per_1000: float
    failures: int


@dataclass(frozen=True)
class MemorySample:
    """Memory after a number of requests.

    Attributes:
        requests: How many, the warm-up not counted.
        rss_mib: The resident memory of the process.
        objects: What Python's garbage collector knows.
    """

    requests: int
    rss_mib: float
    objects: int


@dataclass(frozen=True)
class Memory:
    """Memory over many requests.

    Attributes:
        database: The kind of database.
        samples: At equal distances.
        rss_kib_per_1000: The slope of the last half, for 1,000 requests.
        objects_per_1000: Likewise.
        rss_limit: What the slope may be at most.
        objects_limit: Likewise.
        flat: Whether both are within their limits.
    """

    database: str
    samples: list[MemorySample]
    rss_kib_per_1000: float
    objects_per_1000: float
    rss_limit: float
    objects_limit: float
    flat: bool


@dataclass(frozen=True)
class Databases:
    """What registered databases cost a request that uses the primary alone.

    Attributes:
        databases: How many are registered.
        runs: In how many rounds.
        ratio: A request's time, to that with one database in the same rounds.
        microseconds: A request's time, the median over rounds.
        kib: What the process grew by from before the first engine until start-up was done.
        start_milliseconds: What building the application and its start-up took.
        opened_at_start: Connections that start-up opened.
        opened_by_requests: Connections to unused databases that requests opened.
    """

    databases: int
    runs: int
    ratio: Spread | None
    microseconds: float
    kib: float
    start_milliseconds: float
    opened_at_start: int
    opened_by_requests: int


def _spread(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "ratio": Spread(**found["ratio"]) if found["ratio"] else None}


@dataclass(frozen=True)
class Scale:
    """How costs grow: with clients, with requests, with databases."""

    pool: list[PoolPoint] = field(default_factory=list[PoolPoint])
    memory: list[Memory] = field(default_factory=list[Memory])
    databases: list[Databases] = field(default_factory=list[Databases])

    def as_dict(self) -> dict[str, Any]:
        """Answer what a file of results holds as `scale`."""
        return asdict(self)

    @classmethod
    def parse(cls, found: dict[str, Any]) -> Self:
        """Read what `as_dict` answered; an empty one where nothing was measured."""
        return cls(
            pool=[PoolPoint(**_spread(each)) for each in found.get("pool", [])],
            memory=[Memory(**_sampled(each)) for each in found.get("memory", [])],
            databases=[Databases(**_spread(each)) for each in found.get("databases", [])],
        )


def _sampled(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "samples": [MemorySample(**each) for each in found["samples"]]}
