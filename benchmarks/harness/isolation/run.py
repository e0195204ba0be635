"""All measurements of isolation, one after the other."""

import random
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from harness import conditions
from harness.catalogue import DATABASES, MARIADB, POSTGRESQL, SQLITE
from harness.isolation import limits, project
from harness.isolation.catalogue import Way, ways_on
from harness.isolation.modes import MODES, Mode
from harness.isolation.results import Isolation, StartTime
from harness.isolation.statistics import summarise, typical
from harness.spread import Spread
from hawkapi_sqlalchemy.pytest.servers.mariadb import MariaDBServer
from hawkapi_sqlalchemy.pytest.servers.postgresql import PostgreSQLServer
from hawkapi_sqlalchemy.pytest.servers.run import Run as Servers
from hawkapi_sqlalchemy.pytest.servers.server import DatabaseServer


def measure(
    servers: Servers, python: Path, *, mode: str, seed: int, tell: Callable[[str], None] = print
) -> Isolation:
    """Measure every way on every database, and the plugin's part of pytest's start.

    Args:
        servers: Starts the servers, with the settings of test runs.
        python: The interpreter of the project's environment.
        mode: `short` or `full`.
        seed: Of the order.
        tell: Told what is being done.

    Raises:
        BenchmarkError: A test did not pass.
        ServerError: A server does not start.
    """
    amount = MODES[mode]
    found = Isolation(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=mode,
        seed=seed,
        conditions=conditions.machine(),
    )
    rounds = _Rounds(servers, python, amount, random.Random(seed))
    played: dict[str, list[dict[str, float]]] = {database: [] for database in DATABASES}
    for number in range(amount.rounds):
        for database in DATABASES:
            tell(f"isolation: round {number + 1} of {amount.rounds} on {database}")
            played[database].append(rounds.play(database))
    for database, results in played.items():
        tests = {each.name: amount.tests_of(each, database) for each in ways_on(database)}
        found.times += summarise(database, results, tests)
    tell("isolation: start of pytest")
    found.start = _start(python, amount)
    found.conditions |= {"servers": _versions(servers), "packages": rounds.packages}
    found.limits = limits.judge(found)
    return found


class _Rounds:
    def __init__(self, servers: Servers, python: Path, amount: Mode, order: random.Random) -> None:
        self._servers = servers
        self._python = python
        self._amount = amount
        self._order = order
        self.packages: dict[str, str] = {}

    def play(self, database: str) -> dict[str, float]:
        """Run every way once; answer the milliseconds of a typical test of each."""
        ways = ways_on(database)
        self._order.shuffle(ways)
        return {way.name: self._typical(way, database) for way in ways}

    def _typical(self, way: Way, database: str) -> float:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            ran = project.run(
                self._python,
                folder,
                way,
                database=database,
                url=self._empty_database(database, folder, stack),
                tests=self._amount.tests_of(way, database),
            )
        self.packages = ran.packages
        return typical(ran.seconds)

    def _empty_database(self, database: str, folder: Path, stack: ExitStack) -> str:
        if database == SQLITE:
            return f"sqlite+aiosqlite:///{folder}/test.db"
        server = _server(self._servers, database)
        name = server.create_database()
        stack.callback(server.drop_database, name)
        return server.url(name)


def _server(servers: Servers, database: str) -> DatabaseServer:
    # Asked for by their classes: `Run.mariadb` wants SQLAlchemy's driver, which nothing here needs.
    return servers.server(PostgreSQLServer if database == POSTGRESQL else MariaDBServer)


def _versions(servers: Servers) -> dict[str, str]:
    asked = {POSTGRESQL: "SHOW server_version", MARIADB: "SELECT version()"}
    return {SQLITE: sqlite3.sqlite_version} | {
        database: str(_server(servers, database).execute(sql)[0][0])
        for database, sql in asked.items()
    }


def _start(python: Path, amount: Mode) -> StartTime:
    added: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # What is not compiled yet is compiled before anything counts.
        project.start_seconds(python, folder, with_plugin=True)
        for number in range(amount.start_rounds):
            # Each goes first in every other round.
            order = (True, False) if number % 2 else (False, True)
            seconds = {
                with_plugin: project.start_seconds(python, folder, with_plugin=with_plugin)
                for with_plugin in order
            }
            added.append(1000 * (seconds[True] - seconds[False]))
    return StartTime(amount.start_rounds, Spread.of(added))
