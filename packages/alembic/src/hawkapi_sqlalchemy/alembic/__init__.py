"""Alembic migrations in one call of `env.py`; needs neither a web framework nor pytest."""

from hawkapi_sqlalchemy.alembic.environment import run_migrations
from hawkapi_sqlalchemy.alembic.errors import (
    DriverNotInstalledError,
    ForeignKeyViolationError,
    MigrationError,
    MigrationLockLostError,
    MigrationLockTimeoutError,
    TableLockedError,
)
from hawkapi_sqlalchemy.alembic.locking import alembic_lock

__all__ = [
    "DriverNotInstalledError",
    "ForeignKeyViolationError",
    "MigrationError",
    "MigrationLockLostError",
    "MigrationLockTimeoutError",
    "TableLockedError",
    "alembic_lock",
    "run_migrations",
]
