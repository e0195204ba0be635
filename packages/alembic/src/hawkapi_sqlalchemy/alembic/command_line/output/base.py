"""What every way of showing results can show."""

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import click

from hawkapi_sqlalchemy.alembic.events import Event
from hawkapi_sqlalchemy.alembic.linting import Finding
from hawkapi_sqlalchemy.alembic.results import (
    DatabaseState,
    MigrationResult,
    Revision,
    SchemaCheck,
)

__all__ = ["Output"]


class Output(Protocol):
    """Shows what commands do. Results go to the standard output, all else to the error output."""

    def note(self, text: str) -> None:
        """Say something by the way."""
        click.echo(text, err=True)

    def traceback(self, error: BaseException | None) -> None:
        """Show where an error comes from, for who asked to see it."""
        if error is not None:
            self.note("".join(traceback.format_exception(error)).rstrip())

    def event(self, event: Event) -> None:
        """Show how far a migration is."""
        ...

    def migrated(self, results: Sequence[MigrationResult], not_attempted: Sequence[str]) -> None:
        """Show what was done to databases, failures among them."""
        ...

    def states(self, states: Sequence[DatabaseState], messages: Mapping[str, str]) -> None:
        """Show where databases stand; `messages` says what each revision does."""
        ...

    def current(self, states: Sequence[DatabaseState]) -> None:
        """Show the revisions of databases alone."""
        ...

    def checks(self, checks: Sequence[SchemaCheck]) -> None:
        """Show how schemas differ from the models."""
        ...

    def revisions(self, revisions: Sequence[Revision], at: Mapping[str, Sequence[str]]) -> None:
        """Show revisions, and the names of the databases that are at each."""
        ...

    def written(self, paths: Sequence[Path], remarks: Sequence[str]) -> None:
        """Show which files were made, and what comes next."""
        ...

    def sql(self, text: str) -> None:
        """Show SQL."""
        ...

    def findings(self, findings: Sequence[Finding], revisions: Sequence[str]) -> None:
        """Show what is dangerous in the migrations of some revisions."""
        ...

    def failed(self, error: BaseException, message: str) -> None:
        """Say why the command failed."""
        ...

    def close(self) -> None:
        """Be done."""
        ...
