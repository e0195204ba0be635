"""PostgreSQL."""

import signal
from pathlib import Path
from typing import Any, ClassVar, override

import asyncpg  # pyright: ignore[reportMissingTypeStubs]  # it ships none

from hawkapi_sqlalchemy.pytest.servers import binaries
from hawkapi_sqlalchemy.pytest.servers.blocking import run_blocking
from hawkapi_sqlalchemy.pytest.servers.server import DATABASE, USER, DatabaseServer, new_name
from hawkapi_sqlalchemy.pytest.servers.workspace import Workspace

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
# In the data folder, hence removed with it: /dev/shm outlives a killed server.
dynamic_shared_memory_type = mmap
# Two-phase commit is off by default.
max_prepared_transactions = 20
"""
# What a power cut would lose may be lost; what a killed process has committed may not.
FAST_SETTINGS = """
shared_buffers = 32MB
fsync = off
full_page_writes = off
autovacuum = off
jit = off
min_wal_size = 32MB
checkpoint_timeout = 1h
"""

# Half of its parameters have no types.
_asyncpg: Any = asyncpg
_STATUS_LINE = 7
_READY = "ready"


class PostgreSQLServer(DatabaseServer):
    """A PostgreSQL server."""

    kind = "postgresql"
    admin = "postgres"
    driver = "postgresql+asyncpg"
    settings: ClassVar[str] = SETTINGS + FAST_SETTINGS
    # An immediate shutdown, which still frees the shared memory.
    abort_signal = signal.SIGQUIT

    @classmethod
    @override
    def programs(cls) -> binaries.PostgreSQLPrograms:
        return binaries.postgresql()

    @classmethod
    @override
    def initialise(cls, workspace: Workspace) -> Path:
        programs = cls.programs()
        folder = workspace.new_folder(f"template-{cls.kind}", programs.account)
        data = folder / "data"
        password_file = folder / "password"
        password_file.write_text(workspace.password)
        programs.account.own(password_file)
        sql_file = folder / "accounts.sql"
        sql_file.write_text(
            f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{workspace.password}'\n"
            f"CREATE DATABASE {DATABASE} OWNER {USER}{_strategy()}\n"
        )

        def run(*argv: str, stdin: Path | None = None) -> None:
            workspace.supervision.run(
                list(argv),
                account=programs.account,
                folder=folder,
                log=folder / "initialise.log",
                stdin=stdin,
            )

        run(
            programs["initdb"],
            *("-D", str(data), "-U", cls.admin, f"--pwfile={password_file}"),
            *("-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"),
            # The smallest segments but two, for what is copied to every server.
            "--wal-segsize=4",
        )
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(cls.settings)
        run(programs["postgres"], "--single", "-D", str(data), "postgres", stdin=sql_file)
        return data

    @override
    def command(self) -> list[str]:
        return [
            self.programs()["postgres"],
            *("-D", str(self.folder / "data"), "-p", str(self.port)),
        ]

    @override
    def ready(self) -> bool:
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # A killed server leaves the file behind, with another pid.
        ours = bool(lines) and lines[0] == str(self.process.pid)
        return ours and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == _READY

    @override
    def execute(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        return run_blocking(lambda: self._execute(sql, database or "postgres"))

    @override
    def count_connections(self, database: str) -> int:
        rows = self.execute(f"SELECT count(*) {_CLIENTS_OF} '{database}'")
        return rows[0][0]

    @override
    def disconnect(self, database: str) -> None:
        self.execute(f"SELECT pg_terminate_backend(pid) {_CLIENTS_OF} '{database}'")

    @override
    def create_database(self, name: str | None = None) -> str:
        name = name or new_name()
        self.execute(f'CREATE DATABASE "{name}" OWNER {USER} TEMPLATE template0{_strategy()}')
        return name

    @override
    def drop_database(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    async def _execute(self, sql: str, database: str) -> list[tuple[Any, ...]]:
        connection = await _asyncpg.connect(
            host=self.host,
            port=self.port,
            user=self.admin,
            password=self.workspace.password,
            database=database,
            ssl=False,
            timeout=30,
            statement_cache_size=0,
        )
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()


_CLIENTS_OF = (
    "FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    " AND backend_type = 'client backend' AND datname ="
)
_FIRST_WITH_STRATEGY = 15


def _strategy() -> str:
    # Its two checkpoints cost nothing without fsync, and the default also logs every page:
    # 24 ms against 55 at best. The rest is the file system's time for 300 new files.
    return " STRATEGY file_copy" if binaries.postgresql().version >= _FIRST_WITH_STRATEGY else ""
