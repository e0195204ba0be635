"""Alembic migrations in one call of `env.py`; needs neither a web framework nor pytest."""

from typing import TYPE_CHECKING, Any

from hawkapi_sqlalchemy.alembic.environment import run_migrations
from hawkapi_sqlalchemy.alembic.errors import (
    DatabasesFailedError,
    DatabaseUnreachableError,
    DriverNotInstalledError,
    ForeignKeyViolationError,
    MigrationError,
    MigrationLockLostError,
    MigrationLockTimeoutError,
    SchemaDifferenceError,
    SeveralHeadsError,
    TableLockedError,
    UnknownDatabaseRevisionError,
    UnknownRevisionError,
)
from hawkapi_sqlalchemy.alembic.events import (
    DatabaseEnded,
    DatabaseStarted,
    MigrationsPlanned,
    RevisionApplied,
)
from hawkapi_sqlalchemy.alembic.locking import alembic_lock
from hawkapi_sqlalchemy.alembic.results import (
    DatabaseState,
    MigrationResult,
    Revision,
    SchemaCheck,
    SqlScript,
)

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.alembic.asynchronous import AsyncMigrations
    from hawkapi_sqlalchemy.alembic.program import Migrations

__all__ = [
    "AsyncMigrations",
    "DatabaseEnded",
    "DatabaseStarted",
    "DatabaseState",
    "DatabaseUnreachableError",
    "DatabasesFailedError",
    "DriverNotInstalledError",
    "ForeignKeyViolationError",
    "MigrationError",
    "MigrationLockLostError",
    "MigrationLockTimeoutError",
    "MigrationResult",
    "Migrations",
    "MigrationsPlanned",
    "Revision",
    "RevisionApplied",
    "SchemaCheck",
    "SchemaDifferenceError",
    "SeveralHeadsError",
    "SqlScript",
    "TableLockedError",
    "UnknownDatabaseRevisionError",
    "UnknownRevisionError",
    "alembic_lock",
    "run_migrations",
]

if not TYPE_CHECKING:
    # An `env.py` needs neither, and Alembic's commands take a while to import.
    _LATER = {"AsyncMigrations": "asynchronous", "Migrations": "program"}

    def __getattr__(name: str) -> Any:
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
