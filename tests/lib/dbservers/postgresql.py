"""PostgreSQL: a primary, and a streaming standby."""

import signal
from pathlib import Path
from typing import Any, Self

import asyncpg

from dbservers import binaries
from dbservers.accounts import Account
from dbservers.blocking import run_blocking
from dbservers.server import DATABASE, USER, DatabaseServer, new_name
from dbservers.sysv import remove_leftovers
from dbservers.waiting import wait_until
from dbservers.workspace import Workspace

_SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
# In the data folder, hence removed with it: /dev/shm outlives a killed server.
dynamic_shared_memory_type = mmap
# Two-phase commit is off by default.
max_prepared_transactions = 20
hot_standby_feedback = on
# The default makes a new standby wait up to 5 s before it asks for the stream again.
wal_retrieve_retry_interval = 100ms
wal_receiver_status_interval = 1s
"""
# What a power cut would lose may be lost; what a killed process has committed may not.
_FAST_SETTINGS = """
shared_buffers = 32MB
fsync = off
full_page_writes = off
autovacuum = off
jit = off
min_wal_size = 32MB
checkpoint_timeout = 1h
"""

_STATUS_LINE = 7
_READY = "ready"


class PostgreSQLServer(DatabaseServer):
    """A PostgreSQL server; `create` makes a primary, `create_standby` its standby."""

    admin = "postgres"
    driver = "postgresql+asyncpg"
    stop_signal = signal.SIGINT
    # An immediate shutdown, which still frees the shared memory.
    abort_signal = signal.SIGQUIT

    @classmethod
    def create(cls, workspace: Workspace, template: Path) -> Self:
        """Start a new server from a data folder that `initialise` has made."""
        account = binaries.postgresql().account
        folder = workspace.new_folder("postgresql", account)
        workspace.copy(template, folder / "data", account)
        server = cls(workspace, folder, workspace.reserve_port())
        server.start_anywhere()
        return server

    def create_standby(self) -> Self:
        """Start a standby that streams from this server."""
        folder = self.workspace.new_folder("postgresql", self.account)
        passfile = folder / "passfile"
        passfile.write_text(f"*:*:*:*:{self.workspace.password}\n")
        passfile.chmod(0o600)
        self.account.own(passfile)
        source = f"host={self.host} port={self.port} user={self.admin} passfile={passfile}"
        slot = f"slot_{new_name()}"
        self.workspace.supervision.run(
            [
                binaries.postgresql()["pg_basebackup"],
                *("-D", str(folder / "data"), "-d", source),
                *("-R", "-C", "-S", slot, "-X", "stream", "-c", "fast", "--no-sync"),
            ],
            account=self.account,
            folder=folder,
            log=folder / "basebackup.log",
        )
        standby = type(self)(self.workspace, folder, self.workspace.reserve_port())
        standby.start_anywhere()
        return standby

    @property
    def account(self) -> Account:
        return binaries.postgresql().account

    def command(self) -> list[str]:
        return [
            binaries.postgresql()["postgres"],
            *("-D", str(self.folder / "data"), "-p", str(self.port)),
        ]

    def ready(self) -> bool:
        try:
            lines = (self.folder / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # A killed server leaves the file behind, with another pid.
        ours = bool(lines) and lines[0] == str(self.process.pid)
        return ours and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == _READY

    def execute(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        return run_blocking(lambda: self._execute(sql, database or "postgres"))

    def count_connections(self, database: str) -> int:
        rows = self.execute(f"SELECT count(*) {_CLIENTS_OF} '{database}'")
        return rows[0][0]

    def disconnect(self, database: str) -> None:
        self.execute(f"SELECT pg_terminate_backend(pid) {_CLIENTS_OF} '{database}'")

    def create_database(self, name: str | None = None) -> str:
        name = name or new_name()
        self.execute(f'CREATE DATABASE "{name}" OWNER {USER} TEMPLATE template0{_strategy()}')
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def abort(self) -> None:
        super().abort()
        # A kill before has left shared memory.
        remove_leftovers(self.folder)

    def position(self) -> str:
        """Return how far this primary's log goes."""
        return self.execute("SELECT pg_current_wal_lsn()::text")[0][0]

    def wait_for_position(self, position: str, timeout: float) -> None:
        """Wait until this standby has replayed its primary's log so far.

        Raises:
            TimeoutError: It has not within `timeout` seconds.
        """
        sql = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        wait_until(
            lambda: self.execute(sql)[0][0],
            what=f"the standby has replayed {position}",
            timeout=timeout,
        )

    def pause_replay(self) -> None:
        """Let this standby fall behind."""
        self.execute("SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: self.execute("SELECT pg_get_wal_replay_pause_state()")[0][0] == "paused",
            what="replay is paused",
        )

    def resume_replay(self) -> None:
        """Let this standby catch up, if it is one still."""
        if self.execute("SELECT pg_is_in_recovery()")[0][0]:
            self.execute("SELECT pg_wal_replay_resume()")

    def promote(self) -> None:
        """Make this standby a primary, and wait until it takes writes."""
        self.execute("SELECT pg_promote(wait => true)")
        wait_until(
            lambda: not self.execute("SELECT pg_is_in_recovery()")[0][0],
            what="the standby is promoted",
        )

    async def _execute(self, sql: str, database: str) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(
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


def initialise(workspace: Workspace) -> Path:
    """Make a data folder with the settings and accounts of every server here."""
    programs = binaries.postgresql()
    folder = workspace.new_folder("template-postgresql", programs.account)
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
        *("-D", str(data), "-U", PostgreSQLServer.admin, f"--pwfile={password_file}"),
        *("-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync"),
        # The smallest segments but two, for what is copied to every server.
        "--wal-segsize=4",
    )
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(_SETTINGS)
        if not workspace.durable:
            settings.write(_FAST_SETTINGS)
    run(programs["postgres"], "--single", "-D", str(data), "postgres", stdin=sql_file)
    return data
