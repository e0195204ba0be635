"""Test databases on MariaDB and MySQL, which cannot copy one: each is made with the schema."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import URL

from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError
from hawkapi_sqlalchemy.pytest.provisioning.homes import Home
from hawkapi_sqlalchemy.pytest.provisioning.schema import Schema
from hawkapi_sqlalchemy.pytest.provisioning.server import Server

__all__ = ["MySQLHome", "remove_leftovers"]


class MySQLHome(Home):
    """A database with the schema.

    Args:
        server: The server. The database of its URL is not touched.
        schema: What is in it.
        run: What the names of the run's databases begin with.
        process: This process's name within the run.
    """

    def __init__(self, server: Server, schema: Schema, *, run: str, process: str) -> None:
        self._server = server
        self._schema = schema
        self._name = f"{run}_{process}"
        self._is_made = False
        self._copies = 0

    def prepare(self) -> URL:
        """Make it; see `Home.prepare`."""
        if not self._is_made:
            self._make(self._name)
            self._is_made = True
        return self._server.url.set(database=self._name)

    def _make(self, name: str) -> None:
        self._server.execute(f"CREATE DATABASE {name}")
        try:
            url = self._server.url.set(database=name)
            self._schema.make(url.render_as_string(hide_password=False))
        except BaseException:
            _drop(self._server, name)
            raise

    def restore(self) -> None:
        """Make it anew; see `Home.restore`."""
        _drop(self._server, self._name)
        self._is_made = False

    @contextmanager
    def clone(self) -> Generator[URL]:
        """Provide another one; see `Home.clone`."""
        self._copies += 1
        name = f"{self._name}_{self._copies}"
        self._make(name)
        try:
            yield self._server.url.set(database=name)
        finally:
            _drop(self._server, name)

    def close(self) -> None:
        """Remove it."""
        if self._is_made:
            self.restore()


def _drop(server: Server, name: str) -> None:
    """Drop a database; who is connected would hold that up with an open transaction."""
    with server.connection() as execute:
        left_open = "SELECT id FROM information_schema.processlist WHERE db = :name"
        for (thread,) in execute(left_open, name=name):
            try:
                execute(f"KILL {thread}")
            except ProvisioningError as error:
                # It may have ended by itself meanwhile.
                if "Unknown thread id" not in str(error):
                    raise
        execute(f"DROP DATABASE IF EXISTS {name}")


def remove_leftovers(server: Server, run: str) -> None:
    """Remove every database of a run.

    Args:
        server: The server.
        run: What the names of the run's databases begin with.
    """
    with server.connection() as execute:
        named = "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE :name"
        names = execute(named, name=f"{run}%")
    for (name,) in names:
        _drop(server, name)
