"""What happens to one database, from where it stood to where it stands."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from alembic.runtime.migration import MigrationInfo
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError

from hawkapi_sqlalchemy.alembic.events import (
    DatabaseEnded,
    DatabaseStarted,
    MigrationsPlanned,
    RevisionApplied,
)
from hawkapi_sqlalchemy.alembic.invocation import Invocation
from hawkapi_sqlalchemy.alembic.planning import OTHER, command_of, plan
from hawkapi_sqlalchemy.alembic.results import MigrationResult

__all__ = ["Recorder"]


class Recorder:
    """What happens to one database.

    Args:
        invocation: What it is a part of.
        database: The database's name.
    """

    def __init__(self, invocation: Invocation, database: str) -> None:
        invocation.database = self.database = database
        self._invocation = invocation
        self._began = self._step_began = time.monotonic()
        self._from: tuple[str, ...] | None = None
        self._to: tuple[str, ...] = ()
        self._plan: tuple[str, ...] = ()
        self._applied: list[str] = []
        self._failed_at: str | None = None
        self._command = OTHER
        done, total = len(invocation.results), len(invocation.databases)
        invocation.listener(DatabaseStarted(database, done, total))

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
            self._plan = plan(self._command, heads, script)
        self.left_at(heads, script)
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
        """Hear where the database is, and forget what was rolled back."""
        self._to = tuple(heads)
        try:
            below = script.iterate_revisions(tuple(heads), "base", implicit_base=True)
            stored = {each.revision for each in below}
        except RevisionError:
            return
        wanted = self._command.kind == "upgrade"
        self._applied = [each for each in self._plan if (each in stored) is wanted]

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
