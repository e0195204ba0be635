"""The fixtures of the servers."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbservers.mariadb import MariaDBServer
from dbservers.missing import require
from dbservers.plugin import RUN
from dbservers.postgresql import PostgreSQLServer
from dbservers.replication import PostgreSQLPair, Replicated
from dbservers.run import Run
from dbservers.server import DatabaseServer, replicated_name
from hawkapi_sqlalchemy.pytest.servers.server import DATABASE

type _Server = PostgreSQLServer | MariaDBServer


@pytest.fixture
def dialect(request: pytest.FixtureRequest) -> str:
    """One of sqlite, postgresql and mariadb; restrict them with the mark `dialects`."""
    return request.param


@pytest.fixture(scope="session")
def server_run(request: pytest.FixtureRequest) -> Run:
    """The run, which starts servers."""
    return request.config.stash[RUN]


@pytest.fixture
def database_server(dialect: str, server_run: Run) -> DatabaseServer:
    """The shared server of the dialect. Other tests use it at the same time."""
    starters: dict[str, Callable[[], _Server]] = {
        "postgresql": server_run.postgresql,
        "mariadb": server_run.mariadb,
    }
    return require(starters[dialect])


@pytest.fixture
def postgresql_server(server_run: Run) -> PostgreSQLServer:
    """The shared PostgreSQL primary. Other tests use it at the same time."""
    return require(server_run.postgresql)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a fresh, empty database, dropped after the test."""
    with _fresh_database(request, dialect, tmp_path / "database.sqlite") as url:
        yield url


@pytest.fixture
def other_database_url(
    request: pytest.FixtureRequest, dialect: str, tmp_path: Path
) -> Iterator[str]:
    """The URL of a second fresh database of the same dialect."""
    with _fresh_database(request, dialect, tmp_path / "other-database.sqlite") as url:
        yield url


@pytest.fixture
def replicated(dialect: str, server_run: Run) -> Iterator[Replicated]:
    """A fresh database on a primary and its replica.

    Only one test of the whole run has it at a time, for each dialect: a pause of
    the replay stops the replica for all its databases.
    """
    primary: _Server
    replica: _Server
    if dialect == "postgresql":
        primary, replica = require(server_run.postgresql), require(server_run.postgresql_standby)
    else:
        primary, replica = require(server_run.mariadb), require(server_run.mariadb_replica)
    with (
        server_run.workspace.lock(f"replicated-{dialect}"),
        _database(primary, replicated_name()) as name,
    ):
        both = Replicated(primary, replica, name)
        both.wait_for_catch_up()
        try:
            yield both
        finally:
            # A connection left behind would hold the replay of the drop up.
            replica.disconnect(name)
            both.resume_replay()


@pytest.fixture
def pgbouncer_url(server_run: Run) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database, through PgBouncer in transaction mode."""
    bouncer = require(server_run.pgbouncer)
    with _database(require(server_run.postgresql)) as name:
        yield bouncer.url(name)


@pytest.fixture
def own_server(dialect: str, server_run: Run) -> Iterator[DatabaseServer]:
    """A server of the test's own, which it may stop, kill, pause and start again."""
    starters: dict[str, Callable[[], _Server]] = {
        "postgresql": server_run.own_postgresql,
        "mariadb": server_run.own_mariadb,
    }
    server = require(starters[dialect])
    try:
        yield server
    finally:
        server.discard()


@pytest.fixture(scope="session")
def spare_servers() -> Iterator[dict[str, _Server]]:
    """The spare servers of this process, by dialect."""
    servers: dict[str, _Server] = {}
    yield servers
    for server in servers.values():
        server.discard()


@pytest.fixture
def spare_server(
    dialect: str, server_run: Run, spare_servers: dict[str, _Server]
) -> Iterator[DatabaseServer]:
    """A server that the test may stop, kill, pause and start again, with the next test's leave.

    It is kept for the process's next test that asks for one, which saves a start: make a database
    on it. What `own_server` may do beyond: spoil its settings and accounts.
    """
    starters: dict[str, Callable[[], _Server]] = {
        "postgresql": server_run.own_postgresql,
        "mariadb": server_run.own_mariadb,
    }
    if dialect not in spare_servers:
        spare_servers[dialect] = require(starters[dialect])
    server = spare_servers[dialect]
    yield server
    if server.running:
        server.resume()
    else:
        server.start()


@pytest.fixture
def own_postgres_pair(server_run: Run) -> Iterator[PostgreSQLPair]:
    """A PostgreSQL primary and a standby of the test's own, to fail over between."""
    with contextlib.ExitStack() as cleanup:
        primary = require(server_run.own_postgresql)
        cleanup.callback(primary.discard)
        standby = primary.create_standby()
        cleanup.callback(standby.discard)
        yield PostgreSQLPair(primary, standby, DATABASE)


@contextlib.contextmanager
def _fresh_database(request: pytest.FixtureRequest, dialect: str, file: Path) -> Iterator[str]:
    if dialect == "sqlite":
        yield f"sqlite+aiosqlite:///{file}"
        return
    server: DatabaseServer = request.getfixturevalue("database_server")
    with _database(server) as name:
        yield server.url(name)


@contextlib.contextmanager
def _database(server: DatabaseServer, name: str | None = None) -> Iterator[str]:
    name = server.create_database(name)
    try:
        yield name
    finally:
        server.drop_database(name)
