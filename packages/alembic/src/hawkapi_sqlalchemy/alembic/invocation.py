"""What a program that runs a command tells `run_migrations`, and hears from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from alembic.config import Config
from sqlalchemy import URL

from hawkapi_sqlalchemy.alembic.events import (
    Event,
    Listener,
)
from hawkapi_sqlalchemy.alembic.results import MigrationResult

__all__ = ["KEY", "VERSION_TABLE", "Databases", "Invocation", "invocation_of"]

KEY = "hawkapi_sqlalchemy.alembic"
"""Where in Alembic's `config.attributes` the invocation stands."""

VERSION_TABLE = "alembic_version"
"""The name of Alembic's own table, unless `context.configure()` gets another."""

type Databases = str | URL | Mapping[str, str | URL]


def _ignore(event: Event) -> None:
    """Hear of an event."""


@dataclass
class Invocation:
    """One command, from the side of who runs it.

    Attributes:
        destination: The revisions that were asked for.
        url: The databases, in place of those that `env.py` names.
        only: The names of the databases to use; none for all.
        canary: The name of the database to begin with; `None` for the first.
        wait: Seconds to wait for a database that cannot be reached, in place of what
            `env.py` says.
        listener: Hears of what happens.
        results: What was done, filled in by `run_migrations`.
        databases: The names of all databases of the run, likewise; none as long as
            `env.py` has not called it.
        database: The name of the database under way, or of the last one, likewise.
        dialect: The kind of database that SQL was written for, likewise.
        version_table: The name of Alembic's own table in it, likewise.
        drops_empty: A revision in which autogenerate has nothing to do is not wanted.
    """

    destination: tuple[str, ...] = ()
    url: Databases | None = None
    only: tuple[str, ...] = ()
    canary: str | None = None
    wait: float | None = None
    listener: Listener = _ignore
    results: list[MigrationResult] = field(default_factory=list[MigrationResult])
    databases: tuple[str, ...] = ()
    database: str = ""
    dialect: str = ""
    version_table: str = VERSION_TABLE
    drops_empty: bool = False

    def drop_empty(self) -> None:
        """Hear that a revision in which there is nothing to do is not wanted."""
        self.drops_empty = True

    @property
    def not_attempted(self) -> tuple[str, ...]:
        """The databases that no result is known of."""
        return self.databases[len(self.results) :]


def invocation_of(config: Config) -> Invocation:
    """Answer the invocation that a command belongs to; for Alembic's own commands an empty one."""
    found: object = config.attributes.get(KEY)
    return found if isinstance(found, Invocation) else Invocation()
