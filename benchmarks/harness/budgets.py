"""The budgets: what the packages may cost, each beside what was found."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from harness.catalogue import (
    HUNDRED_ROWS,
    INSERT,
    MARIADB,
    ONE_ROW,
    ONE_ROW_READ_ONLY,
    OURS,
    POSTGRESQL,
    SQLITE,
    TWO_DEPENDENCIES,
    Workload,
)
from harness.counts import CONNECTIONS, FAILURES, HTTP_FAILURES, HTTP_LOST, LEFT, LOST, ROUND_TRIPS
from harness.imports import ALEMBIC, ROOT
from harness.results import HTTP, IN_PROCESS, Results, Verdict

TIME = "time"
COUNT = "count"
AT_MOST = "at_most"
AT_LEAST = "at_least"

type _Find = Callable[[Results], float | None]


@dataclass(frozen=True)
class Budget:
    """A limit.

    Attributes:
        name: What is limited.
        limit: The limit.
        find: Finds what it is compared with.
        kind: `time`, which is told, or `count`, which fails the run.
        comparison: `at_most` or `at_least`.
    """

    name: str
    limit: float
    find: _Find
    kind: str = TIME
    comparison: str = AT_MOST

    def judge(self, results: Results) -> Verdict:
        """Compare."""
        measured = self.find(results)
        holds = None
        if measured is not None:
            holds = measured <= self.limit if self.comparison == AT_MOST else measured >= self.limit
        return Verdict(self.name, self.kind, self.comparison, self.limit, measured, holds)


def judge(results: Results) -> list[Verdict]:
    """Compare all budgets."""
    return [budget.judge(results) for budget in BUDGETS]


def broken_counts(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return the verdicts that fail a run: counts alone, as a time is never a test."""
    return [each for each in verdicts if each.kind == COUNT and each.holds is False]


def _time(limit: float, workload: Workload, clients: int, database: str = POSTGRESQL) -> Budget:
    return Budget(
        f"{database}, {workload.name}, {clients} at a time: time against by hand",
        limit,
        lambda results: _ratio(results, workload, clients, database, IN_PROCESS),
    )


def _rate(limit: float, connections: int) -> Budget:
    return Budget(
        f"{POSTGRESQL}, {ONE_ROW.name}, HTTP, {connections} connections: rate against by hand",
        limit,
        lambda results: _ratio(results, ONE_ROW, connections, POSTGRESQL, HTTP),
        comparison=AT_LEAST,
    )


def _ratio(
    results: Results, workload: Workload, clients: int, database: str, group: str
) -> float | None:
    found = results.measurement(
        workload.name, clients=clients, peer=OURS, database=database, group=group
    )
    return found.ratio.median if found and found.ratio else None


def _count(title: str, limit: float, name: str, database: str, workload: str) -> Budget:
    return Budget(
        f"{database}, {title}",
        limit,
        lambda results: results.count(name, database=database, workload=workload, peer=OURS),
        kind=COUNT,
    )


def _total(title: str, *names: str) -> Budget:
    return Budget(title, 0, lambda results: _sum(results, names), kind=COUNT)


def _sum(results: Results, names: tuple[str, ...]) -> float | None:
    values = [each.value for each in results.counts if each.peer == OURS and each.name in names]
    return sum(values) if values else None


def _import(name: str) -> Callable[[Results], float | None]:
    def find(results: Results) -> float | None:
        for each in results.imports:
            if each.name == name:
                return each.milliseconds if each.ratio is None else each.ratio
        return None

    return find


BUDGETS = (
    _time(1.03, ONE_ROW, 1),
    _time(0.78, ONE_ROW, 64),
    _time(0.70, ONE_ROW_READ_ONLY, 1),
    _time(0.60, ONE_ROW_READ_ONLY, 64),
    _time(1.03, INSERT, 1),
    _time(0.70, INSERT, 64),
    _time(0.95, HUNDRED_ROWS, 64),
    _time(0.90, TWO_DEPENDENCIES, 64),
    _time(1.00, ONE_ROW, 1, SQLITE),
    _time(1.00, ONE_ROW, 64, SQLITE),
    _time(1.00, INSERT, 1, SQLITE),
    _time(0.60, INSERT, 64, SQLITE),
    _rate(1.8, 8),
    _rate(1.2, 64),
    Budget(
        "a route without a database: microseconds more than HawkAPI alone",
        1.0,
        lambda results: results.no_database.in_process_microseconds,
    ),
    Budget(
        "a route without a database, HTTP: requests/s against HawkAPI alone",
        1.00,
        lambda results: results.no_database.http_ratio,
        comparison=AT_LEAST,
    ),
    Budget(f"import {ROOT}: milliseconds more than an empty Python start", 5.0, _import(ROOT)),
    Budget(
        f"import {ALEMBIC}: time against Alembic and SQLAlchemy asyncio", 1.15, _import(ALEMBIC)
    ),
    *(
        budget
        for database in (POSTGRESQL, MARIADB)
        for budget in (
            _count("round trips, read-only read", 1, ROUND_TRIPS, database, ONE_ROW_READ_ONLY.name),
            _count("round trips, read-write read", 3, ROUND_TRIPS, database, ONE_ROW.name),
            _count("round trips, insert", 3, ROUND_TRIPS, database, INSERT.name),
            _count("new connections per 1,000 requests", 1, CONNECTIONS, database, ONE_ROW.name),
        )
    ),
    _total("failed requests", FAILURES, HTTP_FAILURES),
    _total("acknowledged rows that are not there", LOST, HTTP_LOST),
    _total("connections left open after shut-down", LEFT),
)
