"""Servers that write through to the disk, other than those of test runs.

COMMIT is measured as users have it: their own settings where those cost time.
"""

from hawkapi_sqlalchemy.pytest.servers import mariadb, postgresql
from hawkapi_sqlalchemy.pytest.servers.run import Run


class DurablePostgreSQL(postgresql.PostgreSQLServer):
    settings = postgresql.SETTINGS


class DurableMariaDB(mariadb.MariaDBServer):
    settings = mariadb.SETTINGS


class DurableRun(Run):
    """The servers of one benchmark."""

    def postgresql(self) -> postgresql.PostgreSQLServer:
        return self.server(DurablePostgreSQL)

    def mariadb(self) -> mariadb.MariaDBServer:
        return self.server(DurableMariaDB)
