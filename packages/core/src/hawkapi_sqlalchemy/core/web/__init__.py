"""HawkAPI's side: what a request is promised."""

from hawkapi_sqlalchemy.core.web.dependencies import (
    SessionDependency,
    get_replica_session,
    get_session,
    get_split_session,
    open_session,
    session_for,
)
from hawkapi_sqlalchemy.core.web.setup import init_database, resolve_database

__all__ = [
    "SessionDependency",
    "get_replica_session",
    "get_session",
    "get_split_session",
    "init_database",
    "open_session",
    "resolve_database",
    "session_for",
]
