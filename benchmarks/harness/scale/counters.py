"""Connections, counted by the server."""

from typing import Protocol

from hawkapi_sqlalchemy.pytest.servers.mariadb import MariaDBServer
from hawkapi_sqlalchemy.pytest.servers.postgresql import PostgreSQLServer


class Counter(Protocol):
    """Counts what was opened; only differences mean something."""

    def opened(self, database: str) -> int:
        """Answer how many connections there have been."""
        ...


class PostgreSQLCounter:
    """Counts a database's sessions since it was created.

    A backend reports itself when it is first idle, so none is missed that has answered something.

    Args:
        server: The server.
    """

    def __init__(self, server: PostgreSQLServer) -> None:
        self._server = server

    def opened(self, database: str) -> int:
        sql = f"SELECT sessions FROM pg_stat_database WHERE datname = '{database}'"
        return self._server.execute(sql)[0][0]

    def open_by_name(self, database: str) -> dict[str, int]:
        """Answer how many connections are open, by the name that each has given itself."""
        sql = (
            "SELECT application_name, count(*) FROM pg_stat_activity "
            f"WHERE datname = '{database}' AND backend_type = 'client backend' GROUP BY 1"
        )
        return dict(self._server.execute(sql))


class MariaDBCounter:
    """Counts the server's connections, less those that ask for the count.

    Args:
        server: The server.
    """

    def __init__(self, server: MariaDBServer) -> None:
        self._server = server
        self._own = 0

    def opened(self, database: str) -> int:
        del database  # It counts for the server as a whole.
        self._own += 1
        return int(self._server.execute("SHOW GLOBAL STATUS LIKE 'Connections'")[0][1]) - self._own
