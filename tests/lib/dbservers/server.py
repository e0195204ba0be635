"""What all database servers have in common."""

import secrets
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from sqlalchemy import URL

from dbservers.daemon import Daemon

# An ordinary account that may create databases: tests of rights and of read-only
# servers mean nothing to a superuser.
USER = "hawk"
# Every new server has this database.
DATABASE = "app"
# What the names of replicated databases begin with.
REPLICATED = "r_"


class DatabaseServer(Daemon, ABC):
    """One database server on the loopback interface.

    All methods are synchronous; they work whether or not a loop runs here.
    """

    admin: ClassVar[str]
    driver: ClassVar[str]

    @abstractmethod
    def execute(self, sql: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Execute one statement as the superuser, in autocommit, and return its rows."""

    @abstractmethod
    def count_connections(self, database: str) -> int:
        """Count the clients' connections to a database."""

    @abstractmethod
    def disconnect(self, database: str) -> None:
        """End all clients' connections to a database."""

    @abstractmethod
    def create_database(self, name: str | None = None) -> str:
        """Create an empty database and return its name, by default a new one."""

    @abstractmethod
    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is connected to it."""

    def url(
        self, database: str = DATABASE, *, user: str = USER, password: str | None = None
    ) -> str:
        """Return the URL of a database for SQLAlchemy's asynchronous engine.

        Args:
            database: By default one that every server has.
            user: An ordinary account that may create databases, by default.
            password: By default the right one.
        """
        url = URL.create(
            self.driver,
            username=user,
            password=self.workspace.password if password is None else password,
            host=self.host,
            port=self.port,
            database=database,
            query=self.url_query,
        )
        return url.render_as_string(hide_password=False)

    @property
    def url_query(self) -> dict[str, str]:
        """What follows the question mark in `url`."""
        return {}


def new_name() -> str:
    """Invent a database's name."""
    return f"t_{secrets.token_hex(6)}"


def replicated_name() -> str:
    """Invent the name of a database that replicas of every kind follow."""
    return f"{REPLICATED}{secrets.token_hex(6)}"
