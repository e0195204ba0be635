"""SQLAlchemy for HawkAPI: the public names of the four portions, loaded on first use.

Importing this package loads no SQLAlchemy and no portion. Each name can be
imported from its portion as well: `core`, `mixins`, `alembic` and `pytest`.
"""

import os.path
import sys

# Type checkers take a variable of this name for `typing.TYPE_CHECKING`, whose module costs more
# time than all the rest here.
TYPE_CHECKING = False

# The portions may stand in other folders of sys.path: in an editable workspace
# each has its own. `pkgutil.extend_path` does the same, and imports `typing` and `re`.
__path__ += [
    folder
    for folder in (os.path.join(entry, __name__) for entry in sys.path)  # noqa: PTH118  # pathlib is slow to import
    if folder not in __path__ and os.path.isdir(folder)  # noqa: PTH112  # likewise
]

__version__ = "1.0.0"

__all__ = [
    "Base",
    "Database",
    "DatabaseConfig",
    "DataclassBase",
    "Engine",
    "ReadYourWrites",
    "ReplicaPolicy",
    "ReplicaState",
    "ReplicaStatus",
    "ReplicasUnavailableError",
    "TimestampMixin",
    "UUIDMixin",
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
    "run_migrations",
    "session_for",
    "session_healthy",
    "temporary_database",
    "temporary_session",
]

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.alembic import run_migrations as run_migrations
    from hawkapi_sqlalchemy.core import Database as Database
    from hawkapi_sqlalchemy.core import DatabaseConfig as DatabaseConfig
    from hawkapi_sqlalchemy.core import Engine as Engine
    from hawkapi_sqlalchemy.core import ReadYourWrites as ReadYourWrites
    from hawkapi_sqlalchemy.core import ReplicaPolicy as ReplicaPolicy
    from hawkapi_sqlalchemy.core import ReplicaState as ReplicaState
    from hawkapi_sqlalchemy.core import ReplicaStatus as ReplicaStatus
    from hawkapi_sqlalchemy.core import ReplicasUnavailableError as ReplicasUnavailableError
    from hawkapi_sqlalchemy.core import all_healthy as all_healthy
    from hawkapi_sqlalchemy.core import create_engine as create_engine
    from hawkapi_sqlalchemy.core import database_healthy as database_healthy
    from hawkapi_sqlalchemy.core import get_replica_session as get_replica_session
    from hawkapi_sqlalchemy.core import get_session as get_session
    from hawkapi_sqlalchemy.core import get_split_session as get_split_session
    from hawkapi_sqlalchemy.core import init_database as init_database
    from hawkapi_sqlalchemy.core import on_commit as on_commit
    from hawkapi_sqlalchemy.core import open_session as open_session
    from hawkapi_sqlalchemy.core import resolve_database as resolve_database
    from hawkapi_sqlalchemy.core import session_for as session_for
    from hawkapi_sqlalchemy.core import session_healthy as session_healthy
    from hawkapi_sqlalchemy.mixins import Base as Base
    from hawkapi_sqlalchemy.mixins import DataclassBase as DataclassBase
    from hawkapi_sqlalchemy.mixins import TimestampMixin as TimestampMixin
    from hawkapi_sqlalchemy.mixins import UUIDMixin as UUIDMixin
    from hawkapi_sqlalchemy.pytest import temporary_database as temporary_database
    from hawkapi_sqlalchemy.pytest import temporary_session as temporary_session
else:
    # Hidden from type checkers: a module with `__getattr__` has every name, and
    # a misspelt import would pass unseen.
    from importlib import import_module

    _PORTIONS = {
        "Base": "mixins",
        "Database": "core",
        "DatabaseConfig": "core",
        "DataclassBase": "mixins",
        "Engine": "core",
        "ReadYourWrites": "core",
        "ReplicaPolicy": "core",
        "ReplicaState": "core",
        "ReplicaStatus": "core",
        "ReplicasUnavailableError": "core",
        "TimestampMixin": "mixins",
        "UUIDMixin": "mixins",
        "all_healthy": "core",
        "create_engine": "core",
        "database_healthy": "core",
        "get_replica_session": "core",
        "get_session": "core",
        "get_split_session": "core",
        "init_database": "core",
        "on_commit": "core",
        "open_session": "core",
        "resolve_database": "core",
        "run_migrations": "alembic",
        "session_for": "core",
        "session_healthy": "core",
        "temporary_database": "pytest",
        "temporary_session": "pytest",
    }

    def __getattr__(name: str) -> object:
        portion = _PORTIONS.get(name)
        if portion is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{__name__}.{portion}"), name)
        # Kept, so that the next access does not come here.
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
