"""Async SQLAlchemy for HawkAPI: one transaction a request, stored before it is acknowledged."""

from hawkapi_sqlalchemy.core.after_commit import on_commit
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.database import Database
from hawkapi_sqlalchemy.core.engine import Engine, create_engine
from hawkapi_sqlalchemy.core.errors import (
    CannotConnectError,
    CommitOutcomeUnknownError,
    ConfigurationError,
    DatabaseNotConfiguredError,
    DatabaseUnavailableError,
    HawkAPISQLAlchemyError,
    PartialCommitError,
    PoolExhaustedError,
    PrimaryUnavailableError,
    ReadOnlyError,
    ReplicasUnavailableError,
    SessionEndedError,
    TransactionLostError,
    TransactionRequiredError,
    UnknownDatabaseError,
    UnknownDatabaseWarning,
)
from hawkapi_sqlalchemy.core.health import all_healthy, database_healthy, session_healthy
from hawkapi_sqlalchemy.core.routing.condition import ReplicaState
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.replica_status import ReplicaStatus
from hawkapi_sqlalchemy.core.web import (
    get_replica_session,
    get_session,
    get_split_session,
    init_database,
    open_session,
    resolve_database,
    session_for,
)
from hawkapi_sqlalchemy.core.web.read_your_writes import ReadYourWrites

__all__ = [
    "CannotConnectError",
    "CommitOutcomeUnknownError",
    "ConfigurationError",
    "Database",
    "DatabaseConfig",
    "DatabaseNotConfiguredError",
    "DatabaseUnavailableError",
    "Engine",
    "HawkAPISQLAlchemyError",
    "PartialCommitError",
    "PoolExhaustedError",
    "PrimaryUnavailableError",
    "ReadOnlyError",
    "ReadYourWrites",
    "ReplicaPolicy",
    "ReplicaState",
    "ReplicaStatus",
    "ReplicasUnavailableError",
    "SessionEndedError",
    "TransactionLostError",
    "TransactionRequiredError",
    "UnknownDatabaseError",
    "UnknownDatabaseWarning",
    "all_healthy",
    "create_engine",
    "database_healthy",
    "get_replica_session",
    "get_session",
    "get_split_session",
    "init_database",
    "on_commit",
    "open_session",
    "resolve_database",
    "session_for",
    "session_healthy",
]
