"""Engines for a migration run: one connection, closed at its end."""

from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.alembic.errors import DriverNotInstalledError, MigrationError
from hawkapi_sqlalchemy.alembic.sqlite import (
    EXPLICIT_DRIVERS,
    begin_explicitly,
    connect_aiosqlite,
)

_EXTRAS = {"asyncpg": "postgres", "aiomysql": "mysql"}
_ASYNC_DRIVERS = {"postgresql": "asyncpg", "mysql": "aiomysql", "mariadb": "aiomysql"}


def parse_url(url: str | URL) -> URL:
    """Return the SQLAlchemy URL.

    Raises:
        MigrationError: It is none. The message leaves it out, since SQLAlchemy's
            own repeats it, password included.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise MigrationError(
            "the database URL cannot be read; it has the form "
            "dialect+driver://user:password@host:port/database, with special characters in the "
            "password percent-encoded"
        ) from None
    try:
        parsed.get_dialect()
    except NoSuchModuleError:
        raise MigrationError(
            f"SQLAlchemy knows no database {parsed.drivername!r}; a URL begins with, for example, "
            "sqlite+aiosqlite://, postgresql+asyncpg:// or mariadb+aiomysql://"
        ) from None
    return parsed


def migration_engine(url: URL, *, writes: bool = True) -> Engine | AsyncEngine:
    """Make the engine that `url` asks for, without a pool.

    Args:
        url: The database.
        writes: Whether something will be changed. On SQLite a transaction then
            takes the write lock when it begins.

    Returns:
        An `AsyncEngine` if the driver is an async one.

    Raises:
        DriverNotInstalledError: The driver is not installed.
    """
    dialect = url.get_dialect()
    explicit = dialect.name == "sqlite" and dialect.driver in EXPLICIT_DRIVERS
    create = create_async_engine if dialect.is_async else create_engine
    connect_args: dict[str, Any] = {"isolation_level": None} if explicit else {}
    if dialect.driver == "aiosqlite":
        connect_args["async_creator_fn"] = connect_aiosqlite
    try:
        engine = create(url, poolclass=NullPool, connect_args=connect_args)
    except ModuleNotFoundError as error:
        raise _driver_error(url) from error
    if explicit:
        sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        begin_explicitly(sync_engine, "BEGIN IMMEDIATE" if writes else "BEGIN")
    return engine


def _driver_error(url: URL) -> DriverNotInstalledError:
    driver = url.get_driver_name()
    if driver in _EXTRAS:
        remedy = f"install hawkapi-sqlalchemy-alembic[{_EXTRAS[driver]}]"
    elif known := _ASYNC_DRIVERS.get(url.get_backend_name()):
        remedy = (
            f"install it, or use {url.get_backend_name()}+{known}:// with "
            f"hawkapi-sqlalchemy-alembic[{_EXTRAS[known]}]"
        )
    else:
        remedy = "install the package that provides it"
    return DriverNotInstalledError(driver, remedy)
