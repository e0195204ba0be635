"""Plain lines: for logs, pipes, and terminals without `rich`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import override

import click

from hawkapi_sqlalchemy.alembic.command_line.output.base import Output
from hawkapi_sqlalchemy.alembic.errors import describe
from hawkapi_sqlalchemy.alembic.events import (
    DatabaseEnded,
    DatabaseStarted,
    Event,
    MigrationsPlanned,
    RevisionApplied,
)
from hawkapi_sqlalchemy.alembic.linting import Finding
from hawkapi_sqlalchemy.alembic.results import (
    DatabaseState,
    MigrationResult,
    Revision,
    SchemaCheck,
)

__all__ = ["PlainOutput", "summary"]

_NOTHING = "-"


class PlainOutput(Output):
    """See `Output`.

    Args:
        quiet: Show no progress.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    @override
    def event(self, event: Event) -> None:
        if self._quiet:
            return
        match event:
            case DatabaseStarted(database, position, total) if total > 1:
                self.note(f"[{position + 1}/{total}] {database}")
            case DatabaseStarted():
                pass
            case MigrationsPlanned(database, revisions) if revisions:
                self.note(f"{database}: {_counted(len(revisions), 'migration')} to run")
            case MigrationsPlanned():
                pass
            case RevisionApplied(database, revision, seconds):
                self.note(f"{database}: {revision} ({seconds:.2f} s)")
            case DatabaseEnded():
                pass

    @override
    def migrated(self, results: Sequence[MigrationResult], not_attempted: Sequence[str]) -> None:
        for each in results:
            if each.error is None:
                click.echo(f"{each.database}: {_done(each)}")
            else:
                click.echo(f"{each.database}: FAILED, {_why(each)}")
        for name in not_attempted:
            click.echo(f"{name}: not attempted")
        if len(results) + len(not_attempted) > 1:
            click.echo(summary(results, not_attempted))

    @override
    def states(self, states: Sequence[DatabaseState], messages: Mapping[str, str]) -> None:
        for each in states:
            click.echo(f"{each.database}: {_stands(each)}")
            for revision in each.pending:
                click.echo(f"  {revision}  {messages.get(revision, '')}".rstrip())

    @override
    def current(self, states: Sequence[DatabaseState]) -> None:
        for each in states:
            shown = f"error: {describe(each.error)}" if each.error else names(each.current)
            click.echo(f"{each.database}: {shown}")

    @override
    def checks(self, checks: Sequence[SchemaCheck]) -> None:
        for each in checks:
            if each.error is not None:
                click.echo(f"{each.database}: {describe(each.error)}")
            elif each.differences:
                click.echo(f"{each.database}: differs from the models")
                for line in each.differences:
                    click.echo(f"  {line}")
            else:
                click.echo(f"{each.database}: as the models")

    @override
    def revisions(self, revisions: Sequence[Revision], at: Mapping[str, Sequence[str]]) -> None:
        for each in revisions:
            marks = _marks(each, at)
            click.echo(f"{each.revision}  {each.message}{f'  ({marks})' if marks else ''}")

    @override
    def written(self, paths: Sequence[Path], remarks: Sequence[str]) -> None:
        for path in paths:
            click.echo(f"written: {shown_path(path)}")
        for remark in remarks:
            click.echo(remark)

    @override
    def sql(self, text: str) -> None:
        click.echo(text, nl=False)

    @override
    def findings(self, findings: Sequence[Finding], revisions: Sequence[str]) -> None:
        for each in findings:
            click.echo(f"{each.revision}: {each.rule}: {each.message}")
            click.echo(f"  {each.statement}")
            if each.remedy:
                click.echo(f"  {each.remedy}")
        click.echo(
            f"{_counted(len(findings), 'finding')} in {_counted(len(revisions), 'migration')}"
        )

    @override
    def failed(self, error: BaseException, message: str) -> None:
        del error
        click.echo(f"error: {message}", err=True)

    @override
    def close(self) -> None:
        pass


def names(revisions: Iterable[str]) -> str:
    """Write revisions; an empty database has none."""
    return ", ".join(revisions) or _NOTHING


def shown_path(path: Path) -> Path:
    """Write a path as seen from the current folder, where it lies inside."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def summary(results: Sequence[MigrationResult], not_attempted: Sequence[str]) -> str:
    """Count what became of several databases."""
    failed = sum(each.error is not None for each in results)
    changed = sum(each.error is None and bool(_changes(each)) for each in results)
    parts = [
        f"{changed} changed",
        f"{len(results) - failed - changed} up to date",
        f"{failed} failed",
    ]
    if not_attempted:
        parts.append(f"{len(not_attempted)} not attempted")
    return f"{_counted(len(results) + len(not_attempted), 'database')}: {', '.join(parts)}"


def _changes(result: MigrationResult) -> bool:
    return bool(result.applied) or result.from_ != result.to


def _done(result: MigrationResult) -> str:
    if not _changes(result):
        return f"nothing to do, at {names(result.to)}"
    count = f" ({_counted(len(result.applied), 'migration')})" if result.applied else ""
    moved = f"{names(result.from_)} -> {names(result.to)}"
    return f"{moved}{count} in {result.seconds:.2f} s"


def _why(result: MigrationResult) -> str:
    where = f"at revision {result.failed_at}: " if result.failed_at else ""
    stands = f" (it is at {names(result.to)})" if result.from_ or result.to else ""
    return f"{where}{describe(result.error)}{stands}"


def _stands(state: DatabaseState) -> str:
    if state.error is not None:
        return f"error: {describe(state.error)}"
    at = names(state.current)
    if state.unknown:
        return f"{at}, of which the scripts do not have {', '.join(state.unknown)}"
    if state.pending:
        return f"{at}, {_counted(len(state.pending), 'migration')} pending"
    return f"{at}, up to date"


def _marks(revision: Revision, at: Mapping[str, Sequence[str]]) -> str:
    marks = [f"branch {label}" for label in revision.branch_labels]
    if revision.is_head:
        marks.append("head")
    if len(revision.down_revisions) > 1:
        marks.append(f"joins {', '.join(revision.down_revisions)}")
    if found := at.get(revision.revision):
        marks.append(f"current of {', '.join(found)}")
    return ", ".join(marks)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
