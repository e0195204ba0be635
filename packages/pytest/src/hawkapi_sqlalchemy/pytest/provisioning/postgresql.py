"""Test databases on PostgreSQL: a sealed template, and copies of it."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import URL

from hawkapi_sqlalchemy.pytest.provisioning.homes import Home
from hawkapi_sqlalchemy.pytest.provisioning.schema import Schema
from hawkapi_sqlalchemy.pytest.provisioning.server import Server

__all__ = ["PostgreSQLHome", "remove_leftovers"]


class PostgreSQLHome(Home):
    """A copy of a template database, which all processes of a run share.

    Args:
        server: The server. The database of its URL is not touched.
        schema: What is in the template.
        run: What the names of the run's databases begin with.
        process: This process's name within the run.
        copies: How the server is to copy a database (`STRATEGY`), or nothing for its own way.
    """

    def __init__(
        self, server: Server, schema: Schema, *, run: str, process: str, copies: str = ""
    ) -> None:
        self._server = server
        self._schema = schema
        self._run = run
        self._template = f"{run}_template"
        self._name = f"{run}_{process}"
        self._strategy = f" STRATEGY {copies}" if copies else ""
        self._is_made = False
        self._copies = 0

    def prepare(self) -> URL:
        """Make it; see `Home.prepare`."""
        if not self._is_made:
            self._make_template()
            self._copy(self._name)
            self._is_made = True
        return self._server.url.set(database=self._name)

    def _make_template(self) -> None:
        # One process makes it, and the others wait. The lock ends with its connection.
        key = zlib.crc32(self._run.encode())
        with self._server.connection() as execute:
            execute("SELECT pg_advisory_lock(:key)", key=key)
            named = "SELECT 1 FROM pg_database WHERE datname = :name"
            if execute(named, name=self._template):
                return
            execute(f"CREATE DATABASE {self._template}")
            try:
                url = self._server.url.set(database=self._template)
                self._schema.make(url.render_as_string(hide_password=False))
            except BaseException:
                execute(f"DROP DATABASE {self._template} WITH (FORCE)")
                raise
            # Sealed: a database that somebody is connected to cannot be copied
            # (https://www.postgresql.org/docs/current/manage-ag-templatedbs.html).
            execute(f"ALTER DATABASE {self._template} ALLOW_CONNECTIONS false IS_TEMPLATE true")

    def _copy(self, name: str) -> None:
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {self._template}{self._strategy}")

    def restore(self) -> None:
        """Make it anew; see `Home.restore`."""
        self._server.execute(f"DROP DATABASE IF EXISTS {self._name} WITH (FORCE)")
        self._is_made = False

    @contextmanager
    def clone(self) -> Generator[URL]:
        """Provide a copy; see `Home.clone`."""
        self.prepare()
        self._copies += 1
        name = f"{self._name}_{self._copies}"
        try:
            self._copy(name)
            yield self._server.url.set(database=name)
        finally:
            self._server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def close(self) -> None:
        """Remove this process's database; the template belongs to the run."""
        if self._is_made:
            self.restore()


def remove_leftovers(server: Server, run: str) -> None:
    """Remove every database of a run, its template included.

    Args:
        server: The server.
        run: What the names of the run's databases begin with.
    """
    with server.connection() as execute:
        named = "SELECT datname FROM pg_database WHERE datname LIKE :name"
        for (name,) in execute(named, name=f"{run}%"):
            execute(f"ALTER DATABASE {name} IS_TEMPLATE false")
            execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
