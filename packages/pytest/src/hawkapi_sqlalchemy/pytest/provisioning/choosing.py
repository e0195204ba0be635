"""Where a run's databases are to be, as it is configured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import URL, MetaData, make_url
from sqlalchemy.exc import ArgumentError

from hawkapi_sqlalchemy.core import ConfigurationError, DatabaseConfig
from hawkapi_sqlalchemy.pytest.portal import Portal
from hawkapi_sqlalchemy.pytest.provisioning import mysql, postgresql
from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError
from hawkapi_sqlalchemy.pytest.provisioning.homes import Home
from hawkapi_sqlalchemy.pytest.provisioning.mysql import MySQLHome
from hawkapi_sqlalchemy.pytest.provisioning.postgresql import PostgreSQLHome
from hawkapi_sqlalchemy.pytest.provisioning.schema import MetadataSchema, MigratedSchema, Schema
from hawkapi_sqlalchemy.pytest.provisioning.server import Server
from hawkapi_sqlalchemy.pytest.provisioning.sqlite import SQLiteHome
from hawkapi_sqlalchemy.pytest.settings import Settings

__all__ = ["choose_home", "choose_schema", "remove_leftovers"]


def choose_schema(
    settings: Settings, metadata: Callable[[], Sequence[MetaData]], portal: Portal
) -> Schema:
    """Choose how the schema is made.

    Args:
        settings: What is configured.
        metadata: Answers the models' metadata; not asked where migrations make the schema.
        portal: Runs what is asynchronous.

    Raises:
        ProvisioningError: There is no such configuration of Alembic's.
    """
    if settings.schema == "migrations":
        if not settings.migrations.is_file():
            raise ProvisioningError(
                "hawkapi_schema is migrations, but there is no alembic.ini or pyproject.toml at "
                f"{settings.migrations}",
                "name Alembic's configuration file in hawkapi_migrations, or make one with "
                "`hawkapi-migrate init`",
            )
        return MigratedSchema(settings.migrations, settings.root)
    return MetadataSchema(metadata(), portal)


def choose_home(
    url: str, schema: Schema, portal: Portal, *, run: str, process: str, is_private: bool
) -> Home:
    """Choose where a process's database is.

    Args:
        url: Any database of the kind, or on the server.
        schema: What is to be in it.
        portal: Runs what is asynchronous.
        run: What the names of the run's databases begin with.
        process: This process's name within the run.
        is_private: The server is the run's own.

    Raises:
        ProvisioningError: The URL cannot be used.
    """
    parsed = _checked(url)
    if parsed.get_backend_name() == "sqlite":
        return SQLiteHome(schema)
    server = Server(parsed, portal)
    if parsed.get_backend_name() == "postgresql":
        # Copying files makes a checkpoint, which costs nothing where nothing is flushed.
        copies = "file_copy" if is_private and _knows_strategies(server) else ""
        return PostgreSQLHome(server, schema, run=run, process=process, copies=copies)
    return MySQLHome(server, schema, run=run, process=process)


def _knows_strategies(server: Server) -> bool:
    first = 150_000  # PostgreSQL 15
    rows: list[Any] = server.execute("SELECT current_setting('server_version_num')::int")
    return rows[0][0] >= first


def remove_leftovers(url: str, portal: Portal, *, run: str) -> None:
    """Remove what the processes of a run have left on somebody's server.

    Args:
        url: Any database on the server.
        portal: Runs what is asynchronous.
        run: What the names of the run's databases begin with.
    """
    parsed = _checked(url)
    server = Server(parsed, portal)
    kind = parsed.get_backend_name()
    (postgresql if kind == "postgresql" else mysql).remove_leftovers(server, run)


def _checked(url: str) -> URL:
    try:
        return DatabaseConfig(make_url(url)).sqlalchemy_url
    except (ArgumentError, ConfigurationError) as error:
        # SQLAlchemy's message shows the URL, which may hold a password.
        reason = error if isinstance(error, ConfigurationError) else "it cannot be parsed"
        raise ProvisioningError(
            f"hawkapi_database is a URL that cannot be used: {reason}",
            "write it as dialect+driver://user:password@host:port/database",
        ) from error
