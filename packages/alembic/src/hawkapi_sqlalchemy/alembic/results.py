"""What commands answer: data, for programs to read and for others to write out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DatabaseState", "MigrationResult", "Revision", "SchemaCheck", "SqlScript"]


@dataclass(frozen=True)
class MigrationResult:
    """What a command did to one database.

    Attributes:
        database: Its name; `"primary"` where the URL is not one of several.
        from_: The revisions it was at; none for an empty database and for one that
            was not reached, several where its history has branches.
        to: The revisions it is at now.
        applied: The revisions that were applied, or undone, one after the other.
        seconds: How long it took, waiting for other runs included.
        error: Why it failed, or `None`.
        failed_at: The revision whose migration failed, where that is known.
    """

    database: str
    from_: tuple[str, ...] = ()
    to: tuple[str, ...] = ()
    applied: tuple[str, ...] = ()
    seconds: float = 0.0
    error: Exception | None = None
    failed_at: str | None = None


@dataclass(frozen=True)
class DatabaseState:
    """Where one database stands.

    Attributes:
        database: Its name.
        current: The revisions it is at; none for an empty database.
        pending: The revisions that an upgrade to all heads would apply, in that
            order.
        unknown: Those of `current` that the migration scripts do not have.
        error: Why this is not known, or `None`.
    """

    database: str
    current: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    error: Exception | None = None

    @property
    def is_at_head(self) -> bool:
        """Whether nothing is left to do, as far as is known."""
        return not (self.error or self.pending or self.unknown)


@dataclass(frozen=True)
class SchemaCheck:
    """How the schema of one database differs from the models.

    Attributes:
        database: Its name.
        differences: What autogenerate would change, a line for each; none where
            schema and models agree.
        operations: The same as Alembic's operations, see
            `alembic.operations.ops.UpgradeOps.as_diffs`.
        error: Why this is not known, or `None`: the database is not at the newest
            revision, for instance.
    """

    database: str
    differences: tuple[str, ...] = ()
    operations: tuple[Any, ...] = ()
    error: Exception | None = None


@dataclass(frozen=True)
class Revision:
    """One revision of the migration scripts.

    Attributes:
        revision: Its identifier.
        down_revisions: Those it follows; none for a first one, several for a merge.
        depends_on: Others that are applied before it.
        branch_labels: The names of its branch.
        message: The first line of its docstring.
        path: Its file.
        is_head: Whether nothing follows it.
    """

    revision: str
    down_revisions: tuple[str, ...]
    depends_on: tuple[str, ...]
    branch_labels: tuple[str, ...]
    message: str
    path: Path
    is_head: bool


@dataclass(frozen=True)
class SqlScript:
    """What migrations would execute.

    Attributes:
        dialect: The kind of database it is for, as SQLAlchemy calls it.
        text: The SQL.
        version_table: The name of Alembic's own table in it.
    """

    dialect: str
    text: str
    version_table: str
