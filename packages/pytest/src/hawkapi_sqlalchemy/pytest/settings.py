"""What a project has configured: options, pytest's configuration file, the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from hawkapi_sqlalchemy.pytest.migration_tests.options import file_at, place

__all__ = ["KINDS", "Settings", "add_options", "read_settings"]

ENVIRONMENT = "HAWKAPI_DATABASE"
SERVERS: tuple[Literal["postgresql", "mariadb"], ...] = ("postgresql", "mariadb")
"""Servers that are started for a run."""
KINDS = ("sqlite", *SERVERS)
"""Databases that are provided without a URL."""
ISOLATIONS = ("savepoint", "clone")
SCHEMAS = ("metadata", "migrations")

_DATABASE = (
    "where tests run: sqlite (in memory, the default), postgresql or mariadb (a private server is "
    "started for the run), or the URL of a server on which databases may be made"
)
_ISOLATION = (
    "how tests are kept apart: savepoint (all of a test is one transaction, rolled back; the "
    "default) or clone (each test gets a database of its own)"
)
_SCHEMA = "how the tables are made: metadata (from the models, the default) or migrations"


@dataclass(frozen=True)
class Settings:
    """What holds for a run.

    Attributes:
        database: One of `KINDS`, or a URL.
        isolation: One of savepoint and clone, for tests that do not say.
        schema: One of metadata and migrations.
        metadata: References to the models' metadata; none for that of our own bases.
        migrations: Alembic's configuration file; where there is none, what was looked for.
        root: pytest's root folder.
        app: A reference to the application, for projects without a fixture `app`.
    """

    database: str
    isolation: str
    schema: str
    metadata: tuple[str, ...]
    migrations: Path
    root: Path
    app: str | None

    @property
    def private_server(self) -> Literal["postgresql", "mariadb"] | None:
        """The kind of server to start, if one is to be started."""
        for kind in SERVERS:
            if self.database == kind:
                return kind
        return None


def add_options(parser: pytest.Parser) -> None:
    """Declare options and configuration keys, those of migrations apart."""
    group = parser.getgroup("hawkapi-sqlalchemy")
    group.addoption("--hawkapi-database", metavar="WHERE", help=_DATABASE)
    group.addoption("--hawkapi-isolation", choices=ISOLATIONS, help=_ISOLATION)
    group.addoption("--hawkapi-schema", choices=SCHEMAS, help=_SCHEMA)
    parser.addini("hawkapi_database", f"{_DATABASE}; over it goes the variable {ENVIRONMENT}")
    parser.addini("hawkapi_isolation", _ISOLATION)
    parser.addini("hawkapi_schema", _SCHEMA)
    parser.addini(
        "hawkapi_metadata",
        "where the models' metadata is, one package.module:attribute a line (default: that of "
        "hawkapi_sqlalchemy.Base and DataclassBase)",
        type="linelist",
    )
    parser.addini(
        "hawkapi_app",
        "where the application is, package.module:attribute, for hawkapi_app and hawkapi_client "
        "in projects without a fixture `app`",
    )


def read_settings(config: pytest.Config) -> Settings:
    """Read what holds: an option over the environment over the configuration file.

    Raises:
        pytest.UsageError: A value is none of those that are possible.
    """
    database: str = (
        config.getoption("--hawkapi-database")
        or os.environ.get(ENVIRONMENT)
        or config.getini("hawkapi_database")
        or "sqlite"
    )
    if database not in KINDS and "://" not in database:
        raise pytest.UsageError(
            f"hawkapi_database is {database!r}; it is one of {', '.join(KINDS)}, or a URL"
        )
    return Settings(
        database,
        _chosen(config, "isolation", ISOLATIONS),
        _chosen(config, "schema", SCHEMAS),
        tuple(config.getini("hawkapi_metadata")),
        file_at(place(config)),
        config.rootpath,
        config.getini("hawkapi_app") or None,
    )


def _chosen(config: pytest.Config, name: str, possible: tuple[str, ...]) -> str:
    value: str = (
        config.getoption(f"--hawkapi-{name}") or config.getini(f"hawkapi_{name}") or possible[0]
    )
    if value not in possible:
        raise pytest.UsageError(
            f"hawkapi_{name} is {value!r}; it is one of {' and '.join(possible)}"
        )
    return value
