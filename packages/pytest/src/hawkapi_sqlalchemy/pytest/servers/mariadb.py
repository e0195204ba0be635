"""MariaDB."""

from pathlib import Path
from typing import Any, ClassVar, override

import pymysql

from hawkapi_sqlalchemy.pytest.servers import binaries
from hawkapi_sqlalchemy.pytest.servers.errors import ServerError
from hawkapi_sqlalchemy.pytest.servers.server import DATABASE, USER, DatabaseServer, new_name
from hawkapi_sqlalchemy.pytest.servers.workspace import Workspace

SETTINGS = """
[mariadbd]
bind_address = 127.0.0.1
skip_name_resolve
# Relative to the data folder: an absolute path may be too long for a socket.
socket = mariadb.sock
max_connections = 300
character_set_server = utf8mb4
"""
# What a power cut would lose may be lost; what a killed process has committed may not.
FAST_SETTINGS = """
innodb_buffer_pool_size = 32M
innodb_log_file_size = 8M
innodb_flush_method = nosync
innodb_flush_log_at_trx_commit = 2
innodb_doublewrite = OFF
performance_schema = OFF
aria_pagecache_buffer_size = 8M
key_buffer_size = 1M
"""

_RIGHTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, LOCK TABLES, "
    "CREATE TEMPORARY TABLES, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, "
    "EVENT, TRIGGER, PROCESS, RELOAD, SHOW DATABASES"
)
_NO_SUCH_THREAD = 1094


class MariaDBServer(DatabaseServer):
    """A MariaDB server."""

    kind = "mariadb"
    admin = "admin"
    driver = "mysql+aiomysql"
    settings: ClassVar[str] = SETTINGS + FAST_SETTINGS

    @classmethod
    @override
    def programs(cls) -> binaries.MariaDBPrograms:
        return binaries.mariadb()

    @classmethod
    @override
    def initialise(cls, workspace: Workspace) -> Path:
        programs = cls.programs()
        folder = workspace.new_folder(f"template-{cls.kind}", programs.account)
        data = folder / "data"
        settings = folder / "my.cnf"
        settings.write_text(cls.settings)
        sql_file = folder / "accounts.sql"
        sql_file.write_text(_accounts(cls.admin, cls.host, workspace.password))
        workspace.supervision.run(
            [
                programs.install,
                f"--defaults-file={settings}",
                f"--datadir={data}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
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
        # It wants an empty folder, and every server a copy of the settings.
        settings.rename(data / settings.name)
        return data

    @override
    def command(self) -> list[str]:
        data = self.folder / "data"
        return [
            self.programs().server,
            f"--defaults-file={data / 'my.cnf'}",
            f"--datadir={data}",
            f"--port={self.port}",
        ]

    @override
    def ready(self) -> bool:
        try:
            return self.execute("SELECT 1") == [(1,)]
        except pymysql.err.OperationalError:
            return False

    @property
    @override
    def url_query(self) -> dict[str, str]:
        return {"charset": "utf8mb4"}

    @override
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

    @override
    def count_connections(self, database: str) -> int:
        return len(self._threads(database))

    @override
    def disconnect(self, database: str) -> None:
        for thread in self._threads(database):
            try:
                self.execute(f"KILL HARD CONNECTION {thread}")
            except pymysql.err.OperationalError as error:
                if error.args[0] != _NO_SUCH_THREAD:
                    raise

    @override
    def create_database(self, name: str | None = None) -> str:
        name = name or new_name()
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        return name

    @override
    def drop_database(self, name: str) -> None:
        # An open transaction of a connection left behind would hold the drop up.
        self.disconnect(name)
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def _threads(self, database: str) -> list[int]:
        # The server's own threads are no clients.
        rows = self.execute(
            "SELECT id FROM information_schema.processlist "
            f"WHERE db = '{database}' AND id <> connection_id() AND user <> 'system user'"
        )
        return [row[0] for row in rows]


def _accounts(admin: str, host: str, password: str) -> str:
    return f"""
FLUSH PRIVILEGES;
CREATE USER '{admin}'@'{host}' IDENTIFIED BY '{password}';
GRANT ALL ON *.* TO '{admin}'@'{host}' WITH GRANT OPTION;
CREATE USER '{USER}'@'{host}' IDENTIFIED BY '{password}';
GRANT {_RIGHTS} ON *.* TO '{USER}'@'{host}';
DELETE FROM mysql.global_priv WHERE User NOT IN ('{admin}', '{USER}', 'mariadb.sys');
CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;
"""
