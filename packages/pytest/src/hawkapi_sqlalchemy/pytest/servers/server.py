"""What all database servers have in common."""

import secrets
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self, override

from sqlalchemy import URL

from hawkapi_sqlalchemy.pytest.servers.accounts import Account
from hawkapi_sqlalchemy.pytest.servers.binaries import Programs
from hawkapi_sqlalchemy.pytest.servers.daemon import Daemon
from hawkapi_sqlalchemy.pytest.servers.workspace import Workspace

# An ordinary account that may create databases: tests of rights and of read-only
# servers mean nothing to a superuser.
USER = "hawk"
# Every new server has this database.
DATABASE = "app"


class DatabaseServer(Daemon, ABC):
    """One database server on the loopback interface.

    All methods are synchronous; they work whether or not a loop runs here.
    """

    #: What its files and folders are named after.
    kind: ClassVar[str]
    #: The superuser.
    admin: ClassVar[str]
    #: SQLAlchemy's name of the dialect and the driver.
    driver: ClassVar[str]
    #: The server's settings, in the format of its own file. A subclass may have others.
    settings: ClassVar[str]

    @classmethod
    @abstractmethod
    def programs(cls) -> Programs:
        """Find the server's programs.

        Raises:
            ServerMissingError: There are none that this user can run.
        """

    @classmethod
    @abstractmethod
    def initialise(cls, workspace: Workspace) -> Path:
        """Make a data folder with the settings and the accounts of every server here."""

    @classmethod
    def create(cls, workspace: Workspace, template: Path) -> Self:
        """Start a new server from a data folder that `initialise` has made."""
        account = cls.programs().account
        folder = workspace.new_folder(cls.kind, account)
        workspace.copy(template, folder / "data", account)
        server = cls(workspace, folder, workspace.reserve_port())
        server.start_anywhere()
        return server

    @property
    @override
    def account(self) -> Account:
        return self.programs().account

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
