"""MariaDB: a primary, and a replica by GTID."""

from pathlib import Path
from typing import Any, Self

import pymysql

from dbservers import binaries
from dbservers.accounts import Account
from dbservers.errors import ServerError
from dbservers.server import DATABASE, REPLICATED, USER, DatabaseServer, new_name
from dbservers.workspace import Workspace

_SETTINGS = """
[mariadbd]
bind_address = 127.0.0.1
skip_name_resolve
# Relative to the data folder: an absolute path may be too long for a socket.
socket = mariadb.sock
max_connections = 300
character_set_server = utf8mb4
"""
# What a power cut would lose may be lost; what a killed process has committed may not.
_FAST_SETTINGS = """
innodb_buffer_pool_size = 32M
innodb_log_file_size = 8M
innodb_flush_method = nosync
innodb_flush_log_at_trx_commit = 2
innodb_doublewrite = OFF
sync_binlog = 0
performance_schema = OFF
aria_pagecache_buffer_size = 8M
key_buffer_size = 1M
"""
_REPLICATION_SETTINGS = """
log_bin = binlog
relay_log = relay
log_slave_updates
binlog_format = ROW
gtid_strict_mode
skip_slave_start
"""

_RIGHTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, LOCK TABLES, "
    "CREATE TEMPORARY TABLES, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, "
    "EVENT, TRIGGER, PROCESS, RELOAD, SHOW DATABASES, REPLICATION CLIENT, SLAVE MONITOR"
)
_NO_SUCH_THREAD = 1094


class MariaDBServer(DatabaseServer):
    """A MariaDB server; `create` makes a primary, `create_replica` its replica."""

    admin = "admin"
    driver = "mysql+aiomysql"

    @classmethod
    def create(cls, workspace: Workspace, template: Path) -> Self:
        """Start a new server from a data folder that `initialise` has made."""
        account = binaries.mariadb().account
        folder = workspace.new_folder("mariadb", account)
        (folder / "my.cnf").write_text(_settings(workspace))
        workspace.copy(template, folder / "data", account)
        server = cls(workspace, folder, workspace.reserve_port())
        server.start_anywhere()
        return server

    def create_replica(self, template: Path) -> Self:
        """Start a replica of this server, which must still have its whole binary log.

        It replays only the databases that `replicated_name` has named: a shared primary's log
        holds those of every other test too, which would take longer the later it is started.
        """
        replica = type(self).create(self.workspace, template)
        replica.execute(
            f"SET GLOBAL replicate_wild_do_table = '{REPLICATED.replace('_', '\\_')}%.%'"
        )
        replica.execute(
            f"CHANGE MASTER TO MASTER_HOST = '{self.host}', MASTER_PORT = {self.port}, "
            f"MASTER_USER = '{self.admin}', MASTER_PASSWORD = '{self.workspace.password}', "
            "MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1"
        )
        replica.execute("SET GLOBAL read_only = ON")
        replica.execute("START REPLICA")
        return replica

    @property
    def account(self) -> Account:
        return binaries.mariadb().account

    def command(self) -> list[str]:
        return [
            binaries.mariadb().server,
            f"--defaults-file={self.folder / 'my.cnf'}",
            f"--datadir={self.folder / 'data'}",
            f"--port={self.port}",
            # Every server needs an id of its own, and a port is one.
            f"--server-id={self.port}",
        ]

    def ready(self) -> bool:
        try:
            return self.execute("SELECT 1") == [(1,)]
        except pymysql.err.OperationalError:
            return False

    @property
    def url_query(self) -> dict[str, str]:
        return {"charset": "utf8mb4"}

    def execute(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        connection = pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.admin,
            password=self.workspace.password,
            database=database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=30,
            # Otherwise it reads the machine's certificates for 20 ms, to encrypt nothing.
            ssl_disabled=True,
        )
        with connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def count_connections(self, database: str) -> int:
        return len(self._threads(database))

    def disconnect(self, database: str) -> None:
        for thread in self._threads(database):
            try:
                self.execute(f"KILL HARD CONNECTION {thread}")
            except pymysql.err.OperationalError as error:
                if error.args[0] != _NO_SUCH_THREAD:
                    raise

    def create_database(self, name: str | None = None) -> str:
        name = name or new_name()
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return name

    def drop_database(self, name: str) -> None:
        # An open transaction of a connection left behind would hold the drop up.
        self.disconnect(name)
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def position(self) -> str:
        """Return how far this primary's log goes."""
        return self.execute("SELECT @@gtid_binlog_pos")[0][0]

    def wait_for_position(self, position: str, timeout: float) -> None:
        """Wait until this replica has replayed its primary's log so far.

        Raises:
            TimeoutError: It has not within `timeout` seconds.
        """
        if self.execute(f"SELECT MASTER_GTID_WAIT('{position}', {timeout})") != [(0,)]:
            raise TimeoutError(
                f"waited {timeout:g} s in vain until the replica has replayed {position}"
            )

    def pause_replay(self) -> None:
        """Let this replica fall behind."""
        self.execute("STOP REPLICA SQL_THREAD")

    def resume_replay(self) -> None:
        """Let this replica catch up."""
        self.execute("START REPLICA SQL_THREAD")

    def _threads(self, database: str) -> list[int]:
        rows = self.execute(
            "SELECT id FROM information_schema.processlist "
            f"WHERE db = '{database}' AND id <> connection_id() AND command <> 'Slave_SQL'"
        )
        return [row[0] for row in rows]


def _settings(workspace: Workspace) -> str:
    # By default a server keeps no binary log, which costs each COMMIT a second write.
    return _SETTINGS if workspace.durable else _SETTINGS + _FAST_SETTINGS + _REPLICATION_SETTINGS


def initialise(workspace: Workspace) -> Path:
    """Make a data folder with the accounts of every server here."""
    programs = binaries.mariadb()
    folder = workspace.new_folder("template-mariadb", programs.account)
    data = folder / "data"
    settings = folder / "my.cnf"
    settings.write_text(_settings(workspace))
    host = MariaDBServer.host
    password = workspace.password
    sql_file = folder / "accounts.sql"
    sql_file.write_text(
        f"""
FLUSH PRIVILEGES;
CREATE USER '{MariaDBServer.admin}'@'{host}' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO '{MariaDBServer.admin}'@'{host}' WITH GRANT OPTION;
CREATE USER '{USER}'@'{host}' IDENTIFIED BY '{password}';
GRANT {_RIGHTS} ON *.* TO '{USER}'@'{host}';
DELETE FROM mysql.global_priv WHERE User NOT IN ('{MariaDBServer.admin}', '{USER}', 'mariadb.sys');
CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;
"""
    )
    workspace.supervision.run(
        [
            programs.install,
            f"--defaults-file={settings}",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            # The template must have no binary log, which would replay on every replica.
            "--skip-log-bin",
            f"--extra-file={sql_file}",
        ],
        account=programs.account,
        folder=folder,
        log=folder / "initialise.log",
    )
    if not (data / DATABASE).is_dir():
        raise ServerError(
            f"{programs.install} made no accounts: {(folder / 'initialise.log').read_text()}"
        )
    return data
