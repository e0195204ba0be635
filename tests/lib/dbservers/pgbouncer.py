"""PgBouncer in transaction mode."""

from typing import Self

from dbservers import binaries
from hawkapi_sqlalchemy.pytest.servers.accounts import Account
from hawkapi_sqlalchemy.pytest.servers.daemon import Daemon
from hawkapi_sqlalchemy.pytest.servers.postgresql import PostgreSQLServer
from hawkapi_sqlalchemy.pytest.servers.server import USER
from hawkapi_sqlalchemy.pytest.servers.workspace import Workspace

#: How many connections to the server all clients of one database share.
POOL_SIZE = 4


class PgBouncer(Daemon):
    """A PgBouncer in transaction mode, in front of one PostgreSQL server."""

    @classmethod
    def create(cls, workspace: Workspace, server: PostgreSQLServer) -> Self:
        """Start a PgBouncer for all databases of `server`, present and future."""
        account = binaries.pgbouncer().account
        folder = workspace.new_folder("pgbouncer", account)
        (folder / "server.ini").write_text(f"* = host={server.host} port={server.port}\n")
        users = folder / "users.txt"
        users.write_text(f'"{USER}" "{workspace.password}"\n')
        bouncer = cls(workspace, folder, workspace.reserve_port())
        bouncer.start_anywhere()
        return bouncer

    @property
    def account(self) -> Account:
        return binaries.pgbouncer().account

    def command(self) -> list[str]:
        settings = self.folder / "pgbouncer.ini"
        settings.write_text(
            f"""
[databases]
%include {self.folder / "server.ini"}

[pgbouncer]
listen_addr = {self.host}
listen_port = {self.port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {self.folder / "users.txt"}
pool_mode = transaction
default_pool_size = {POOL_SIZE}
max_client_conn = 300
"""
        )
        return [binaries.pgbouncer().server, str(settings)]

    def ready(self) -> bool:
        return "process up" in self.output()

    def url(self, database: str, *, password: str | None = None) -> str:
        """Return the URL of a database for SQLAlchemy's asynchronous engine."""
        # To its clients it is a PostgreSQL server on another port.
        server = PostgreSQLServer(self.workspace, self.folder, self.port)
        return server.url(database, password=password)
