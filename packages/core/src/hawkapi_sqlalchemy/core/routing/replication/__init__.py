"""What each kind of server tells about its log, its role and its replication."""

from __future__ import annotations

from hawkapi_sqlalchemy.core.routing.replication.base import (
    NoReplication,
    PrimaryView,
    Replication,
    ReplicaView,
)
from hawkapi_sqlalchemy.core.routing.replication.mariadb import MariaDBReplication
from hawkapi_sqlalchemy.core.routing.replication.mysql import MySQLReplication
from hawkapi_sqlalchemy.core.routing.replication.postgresql import PostgreSQLReplication

__all__ = ["NoReplication", "PrimaryView", "ReplicaView", "Replication", "replication_for"]


def replication_for(dialect: str, *, is_mariadb: bool = False) -> Replication:
    """Choose what asks a kind of server.

    Args:
        dialect: SQLAlchemy's name of the dialect.
        is_mariadb: Whether the server of dialect `mysql` is a MariaDB. SQLAlchemy's dialect knows
            it once an engine has connected.

    Returns:
        `NoReplication` for a kind of server that tells nothing.
    """
    if dialect == "postgresql":
        return PostgreSQLReplication()
    if dialect == "mariadb" or (dialect == "mysql" and is_mariadb):
        return MariaDBReplication()
    if dialect == "mysql":
        return MySQLReplication()
    return NoReplication()
