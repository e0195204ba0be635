"""What a run found, and its file."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from harness.errors import BenchmarkError
from harness.spread import Spread

SCHEMA = 1

IN_PROCESS = "in_process"
HTTP = "http"


@dataclass(frozen=True)
class Measurement:
    """What one contestant's measurements in a cell came to.

    Attributes:
        group: `in_process` or `http`.
        database: The kind of database.
        workload: What was requested.
        clients: How many requests ran at the same time.
        peer: Who answered.
        runs: In how many runs.
        ratio: Against the reference in the same rounds: in process the time, lower is better; over
            HTTP the requests a second, higher is better. `None` where there is nothing to compare.
        cpu_ratio: In process, the same of the application's CPU time: steady also where other
            programs take their share, and blind for what waits.
        milliseconds: The median of one request.
        p99_milliseconds: Its 99th percentile, the median over rounds.
        requests_per_second: Over all clients, the median over rounds.
        failures: Requests that failed, over all rounds.
        hung: Whether requests never ended, so that it was left out from then on.
    """

    group: str
    database: str
    workload: str
    clients: int
    peer: str
    runs: int
    ratio: Spread | None
    cpu_ratio: Spread | None
    milliseconds: Spread | None
    p99_milliseconds: float | None
    requests_per_second: float | None
    failures: int
    hung: bool = False


@dataclass(frozen=True)
class Count:
    """Something that was counted, exactly.

    Attributes:
        name: `round_trips` of one request, `connections_per_1000` requests, `connections_left`
            after shut-down, `failures`, or `rows_lost` that were acknowledged; the last two also
            with `http_` before.
        database: The kind of database.
        workload: What was requested.
        peer: Who answered.
        value: How many.
    """

    name: str
    database: str
    workload: str
    peer: str
    value: float


@dataclass(frozen=True)
class ImportTime:
    """What an import costs, in CPU time: once its files are cached it waits for nothing.

    Attributes:
        name: What is imported.
        milliseconds: More than an empty Python start.
        ratio: Against what it is compared with, where there is such a thing.
    """

    name: str
    milliseconds: float
    ratio: float | None = None


@dataclass(frozen=True)
class NoDatabase:
    """What a route without a database pays for the package.

    Attributes:
        in_process_microseconds: A request's CPU time, more than on HawkAPI alone. It waits for
            nothing, so that this is what it costs.
        http_ratio: Requests a second against those of HawkAPI alone.
    """

    in_process_microseconds: float | None = None
    http_ratio: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A budget, and whether it holds.

    Attributes:
        name: What is limited.
        kind: `time`, or `count`: only these fail a run.
        comparison: `at_most` or `at_least`.
        limit: The limit.
        measured: What was found; `None` where it was not measured.
        holds: Whether it holds; `None` where it was not measured.
    """

    name: str
    kind: str
    comparison: str
    limit: float
    measured: float | None
    holds: bool | None


def _nothing() -> dict[str, Any]:
    return {}


@dataclass
class Results:
    """All that a run found; `write` and `read` are its file."""

    made_at: str
    mode: str
    version: str
    seed: int
    conditions: dict[str, Any] = field(default_factory=_nothing)
    measurements: list[Measurement] = field(default_factory=list[Measurement])
    counts: list[Count] = field(default_factory=list[Count])
    imports: list[ImportTime] = field(default_factory=list[ImportTime])
    no_database: NoDatabase = field(default_factory=NoDatabase)
    budgets: list[Verdict] = field(default_factory=list[Verdict])
    scale: dict[str, Any] = field(default_factory=_nothing)
    isolation: dict[str, Any] = field(default_factory=_nothing)

    def write(self, file: Path) -> None:
        """Write the file."""
        file.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the file.

        Raises:
            BenchmarkError: It is of another schema.
        """
        found = json.loads(file.read_text())
        schema = found.pop("schema", None)
        if schema != SCHEMA:
            raise BenchmarkError(
                f"{file.name} is of schema {schema}, not {SCHEMA}", "run the benchmark again"
            )
        typed: dict[str, Any] = {
            "measurements": [_measurement(each) for each in found["measurements"]],
            "counts": [Count(**each) for each in found["counts"]],
            "imports": [ImportTime(**each) for each in found["imports"]],
            "no_database": NoDatabase(**found["no_database"]),
            "budgets": [Verdict(**each) for each in found["budgets"]],
        }
        return cls(**(found | typed))

    def measurement(
        self, workload: str, *, clients: int, peer: str, database: str, group: str = IN_PROCESS
    ) -> Measurement | None:
        """Find a measurement."""
        wanted = (group, database, workload, clients, peer)
        for each in self.measurements:
            if (each.group, each.database, each.workload, each.clients, each.peer) == wanted:
                return each
        return None

    def count(self, name: str, *, database: str, workload: str, peer: str) -> float | None:
        """Find a count."""
        wanted = (name, database, workload, peer)
        for each in self.counts:
            if (each.name, each.database, each.workload, each.peer) == wanted:
                return each.value
        return None


def _measurement(found: dict[str, Any]) -> Measurement:
    spreads: dict[str, Any] = {
        name: Spread(**found[name]) if found[name] else None
        for name in ("ratio", "cpu_ratio", "milliseconds")
    }
    return Measurement(**(found | spreads))
