"""What is told of a command while it runs."""

from collections.abc import Callable
from dataclasses import dataclass

from hawkapi_sqlalchemy.alembic.results import MigrationResult

__all__ = [
    "DatabaseEnded",
    "DatabaseStarted",
    "Event",
    "Listener",
    "MigrationsPlanned",
    "RevisionApplied",
]


@dataclass(frozen=True)
class DatabaseStarted:
    """A database is the next one.

    Attributes:
        database: Its name.
        position: How many were before it.
        total: How many there are.
    """

    database: str
    position: int
    total: int


@dataclass(frozen=True)
class MigrationsPlanned:
    """It is known what will be done to a database; told again after a lock made it begin anew.

    Attributes:
        database: Its name.
        revisions: Those that will be applied, or undone, in that order.
    """

    database: str
    revisions: tuple[str, ...]


@dataclass(frozen=True)
class RevisionApplied:
    """The migration of one revision has run; where all are one transaction, it is stored later.

    Attributes:
        database: The database's name.
        revision: The revision.
        seconds: How long it took.
    """

    database: str
    revision: str
    seconds: float


@dataclass(frozen=True)
class DatabaseEnded:
    """A database is done, or failed.

    Attributes:
        result: What was done to it.
    """

    result: MigrationResult


type Event = DatabaseStarted | MigrationsPlanned | RevisionApplied | DatabaseEnded
type Listener = Callable[[Event], None]
