"""What each kind of server needs: connection arguments, transactions, limits."""

from __future__ import annotations

from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.dialects.base import DialectPolicy
from hawkapi_sqlalchemy.core.dialects.mysql import MySQLPolicy
from hawkapi_sqlalchemy.core.dialects.postgresql import PostgreSQLPolicy
from hawkapi_sqlalchemy.core.dialects.sqlite import SQLitePolicy

__all__ = ["DialectPolicy", "policy_for"]

_POLICIES: dict[str, type[DialectPolicy]] = {
    "sqlite": SQLitePolicy,
    "postgresql": PostgreSQLPolicy,
    "mysql": MySQLPolicy,
    "mariadb": MySQLPolicy,
}


def policy_for(config: DatabaseConfig) -> DialectPolicy:
    """Choose the policy of a database's dialect.

    Args:
        config: The database.

    Returns:
        A policy of its own for this configuration.
    """
    return _POLICIES[config.dialect](config)
