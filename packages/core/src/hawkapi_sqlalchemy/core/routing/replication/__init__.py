"""What each kind of server tells about its log, its role and its replication."""

from __future__ import annotations

from sqlalchemy.engine import Dialect

from hawkapi_sqlalchemy.core.routing.replication.base import (
    NoReplication,
    PrimaryView,
    Replication,
    ReplicaView,
)
from hawkapi_sqlalchemy.core.routing.replication.mariadb import MariaDBReplication
from hawkapi_sqlalchemy.core.routing.replication.mysql import MySQLReplication
from hawkapi_sqlalchemy.core.routing.replication.postgresql import PostgreSQLReplication

__all__ = [
    "NoReplication",
    "PrimaryView",
    "ReplicaView",
    "Replication",
    "has_replication",
    "replication_of",
]


def has_replication(dialect: str) -> bool:
    """Tell whether servers of a kind tell of their replication.

    Args:
        dialect: SQLAlchemy's name of the dialect.
    """
    return dialect in {"postgresql", "mysql", "mariadb"}


def replication_of(dialect: Dialect) -> Replication:
    """Choose what asks a server.

    Args:
        dialect: SQLAlchemy's, of an engine that has connected: before, it does not know MariaDB
            from MySQL.
    """
    if dialect.name == "postgresql":
        return PostgreSQLReplication()
    if getattr(dialect, "is_mariadb", False):
        return MariaDBReplication()
    if dialect.name == "mysql":
        return MySQLReplication()
    return NoReplication()
