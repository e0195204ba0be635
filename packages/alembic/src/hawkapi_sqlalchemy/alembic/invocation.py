"""What a program that runs a command tells `run_migrations`, and hears from it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from alembic.config import Config
from alembic.runtime.migration import MigrationInfo
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from sqlalchemy import URL

from hawkapi_sqlalchemy.alembic.events import (
    DatabaseEnded,
    DatabaseStarted,
    Event,
    Listener,
    MigrationsPlanned,
    RevisionApplied,
)
from hawkapi_sqlalchemy.alembic.results import MigrationResult

__all__ = ["Databases", "Invocation", "Recorder", "invocation_of"]

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

    def start(self, database: str) -> "Recorder":
        """Begin with a database."""
        self.listener(DatabaseStarted(database, len(self.results), len(self.databases)))
        self.database = database
        return Recorder(self, database)

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


class Recorder:
    """What happens to one database.

    Args:
        invocation: What it is a part of.
        database: The database's name.
    """

    def __init__(self, invocation: Invocation, database: str) -> None:
        self.database = database
        self._invocation = invocation
        self._began = self._step_began = time.monotonic()
        self._from: tuple[str, ...] | None = None
        self._to: tuple[str, ...] = ()
        self._plan: tuple[str, ...] = ()
        self._applied: list[str] = []
        self._failed_at: str | None = None
        self._command = _OTHER

    @property
    def is_one_of_several(self) -> bool:
        """Whether the command goes to other databases too."""
        return len(self._invocation.databases) > 1

    @property
    def has_run(self) -> bool:
        """Whether the database's revision is known."""
        return self._from is not None

    def found(
        self, heads: Sequence[str], script: ScriptDirectory, options: Mapping[str, Any]
    ) -> None:
        """Hear where the database stands before anything is done, or done again.

        Args:
            heads: The revisions it is at.
            script: The migration scripts.
            options: Those of Alembic's `MigrationContext`.
        """
        self._command = command_of(options)
        if self._from is None:
            self._from = tuple(heads)
            self._plan = _plan(self._command, heads, script)
        self._keep(heads, script)
        left = self._plan[len(self._applied) :]
        self._step_began = time.monotonic()
        self._invocation.listener(MigrationsPlanned(self.database, left))

    def applied(self, *, step: MigrationInfo, **_: Any) -> None:
        """Hear from Alembic that the migration of a revision has run."""
        if step.is_stamp:
            return
        now = time.monotonic()
        revision = str(step.up_revision_id)
        self._applied.append(revision)
        self._invocation.listener(RevisionApplied(self.database, revision, now - self._step_began))
        self._step_began = now

    def reached(self, heads: Sequence[str]) -> None:
        """Hear where the database stands now."""
        self._to = tuple(heads)

    def failed(self) -> None:
        """Hear that what runs has failed, before it is known what of it is stored."""
        if len(self._applied) < len(self._plan):
            self._failed_at = self._plan[len(self._applied)]

    def left_at(self, heads: Sequence[str], script: ScriptDirectory) -> None:
        """Hear where a failure left the database."""
        self._keep(heads, script)

    def end(self, error: Exception | None = None) -> None:
        """Be done with the database."""
        result = MigrationResult(
            database=self.database,
            from_=self._from or (),
            to=self._to,
            applied=tuple(self._applied),
            seconds=time.monotonic() - self._began,
            error=error,
            failed_at=self._failed_at,
        )
        self._invocation.results.append(result)
        self._invocation.listener(DatabaseEnded(result))

    def _keep(self, heads: Sequence[str], script: ScriptDirectory) -> None:
        """Keep what is stored, and forget what was rolled back."""
        self._to = tuple(heads)
        try:
            below = script.iterate_revisions(tuple(heads), "base", implicit_base=True)
            stored = {each.revision for each in below}
        except RevisionError:
            return
        wanted = self._command.kind == "upgrade"
        self._applied = [each for each in self._plan if (each in stored) is wanted]


@dataclass(frozen=True)
class Command:
    """What is done to a database.

    Attributes:
        kind: What the command does.
        destination: The revision that was asked for.
    """

    kind: Literal["upgrade", "downgrade", "other"]
    destination: str


_OTHER = Command("other", "")


def command_of(options: Mapping[str, Any]) -> Command:
    """Tell what Alembic's command does.

    Args:
        options: Those of its `MigrationContext`. The name of the function that chooses the
            migrations is all that tells an upgrade from a downgrade.
    """
    name = getattr(options.get("fn"), "__name__", "")
    destination: object = options.get("destination_rev")
    if not isinstance(destination, str):
        return _OTHER
    match name:
        case "upgrade" | "downgrade":
            return Command(name, destination)
        case _:
            return _OTHER


def _plan(command: Command, heads: Sequence[str], script: ScriptDirectory) -> tuple[str, ...]:
    at = tuple(heads)
    try:
        match command.kind:
            case "upgrade":
                found = script.iterate_revisions(command.destination, at, implicit_base=True)
                return tuple(each.revision for each in found)[::-1]
            case "downgrade":
                found = script.iterate_revisions(at, command.destination, select_for_downgrade=True)
                return tuple(each.revision for each in found)
            case _:
                return ()
    except RevisionError:
        # Alembic asks the same next, and says what is wrong.
        return ()
