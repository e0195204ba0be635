"""A database of one peer's own, as the harness sees it."""

import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil

from harness import schema
from harness.catalogue import SQLITE
from hawkapi_sqlalchemy.pytest.servers.server import DatabaseServer


class Target(ABC):
    """A database that only one peer uses.

    Attributes:
        url: Where the peer finds it, as SQLAlchemy writes it.
    """

    url: str

    @abstractmethod
    def empty(self) -> None:
        """Remove what was inserted."""

    @abstractmethod
    def entries(self) -> int:
        """Count what was inserted."""

    @abstractmethod
    def connections(self, process: psutil.Process) -> int:
        """Count the connections that the peer's process has open."""


class FileTarget(Target):
    """A SQLite file.

    Args:
        file: A path that does not exist yet.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self.url = f"sqlite+aiosqlite:///{file}"
        for statement in schema.statements(SQLITE):
            self._execute(statement)

    def empty(self) -> None:
        self._execute(schema.EMPTY[SQLITE])

    def entries(self) -> int:
        return self._execute(schema.COUNT)[0][0]

    def connections(self, process: psutil.Process) -> int:
        # Each connection has a descriptor of its own for the file.
        return sum(each.path == str(self._file) for each in process.open_files())

    def _execute(self, statement: str) -> list[tuple[int]]:
        with closing(sqlite3.connect(self._file, timeout=30.0)) as connection, connection:
            return connection.execute(statement).fetchall()


class ServerTarget(Target):
    """A database on a server.

    Args:
        kind: The database's kind.
        server: The server; a new database is made on it.
    """

    def __init__(self, kind: str, server: DatabaseServer) -> None:
        self._kind = kind
        self._server = server
        self._name = server.create_database()
        self.url = server.url(self._name)
        for statement in schema.statements(kind):
            server.execute(statement, self._name)

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens."""
        return self._server.host, self._server.port

    def url_through(self, port: int) -> str:
        """Return the URL by way of another port of this machine."""
        return through(self.url, port)

    def empty(self) -> None:
        self._server.execute(schema.EMPTY[self._kind], self._name)

    def entries(self) -> int:
        return self._server.execute(schema.COUNT, self._name)[0][0]

    def connections(self, process: psutil.Process) -> int:
        del process
        return self._server.count_connections(self._name)


def through(url: str, port: int) -> str:
    """Change the port of a URL."""
    parts = urlsplit(url)
    account, _, address = parts.netloc.rpartition("@")
    host = address.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{account}@{host}:{port}"))
