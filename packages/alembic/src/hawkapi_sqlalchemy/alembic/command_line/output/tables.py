"""Tables and progress bars on a terminal; needs `rich`."""

from collections.abc import Mapping, Sequence
from typing import override

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from hawkapi_sqlalchemy.alembic.command_line.output.plain import PlainOutput, names, summary
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

__all__ = ["RichOutput"]

_NUMBERS = {"migrations", "pending", "seconds"}
_GOOD = "[green]✓[/]"
_BAD = "[red]✗[/]"
_NOT_YET = "[yellow]•[/]"


class RichOutput(PlainOutput):
    """See `Output`.

    Args:
        quiet: Show no progress.
    """

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._console = Console(highlight=False)
        self._errors = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._databases: TaskID | None = None
        self._revisions: TaskID | None = None

    @override
    def note(self, text: str) -> None:
        # Above the bars, which the console knows of.
        self._errors.print(escape(text), style="dim", soft_wrap=True)

    @override
    def event(self, event: Event) -> None:
        if self._quiet or not self._errors.is_terminal:
            # Into a file go lines.
            super().event(event)
            return
        progress = self._begin()
        match event:
            case DatabaseStarted(database, position, total):
                if self._databases is None and total > 1:
                    self._databases = progress.add_task("databases", total=total)
                if self._databases is not None:
                    progress.update(self._databases, completed=position)
                self._end_task()
                self._revisions = progress.add_task(escape(database), total=None)
            case MigrationsPlanned(_, revisions):
                self._update(total=len(revisions), completed=0)
            case RevisionApplied():
                self._update(advance=1)
            case DatabaseEnded():
                self._end_task()
                if self._databases is not None:
                    progress.update(self._databases, advance=1)

    @override
    def migrated(self, results: Sequence[MigrationResult], not_attempted: Sequence[str]) -> None:
        self._end()
        table = _table("", "database", "from", "to", "migrations", "seconds")
        for each in results:
            table.add_row(
                _GOOD if each.error is None else _BAD,
                escape(each.database),
                escape(names(each.from_)),
                escape(names(each.to)),
                str(len(each.applied)) if each.applied else "-",
                f"{each.seconds:.2f}",
            )
        for name in not_attempted:
            table.add_row(_NOT_YET, escape(name), "not attempted", "", "", "")
        self._console.print(table)
        several = len(results) + len(not_attempted) > 1
        for each in results:
            # That of one database alone is told at the end.
            if each.error is not None and several:
                where = f" at revision [bold]{escape(each.failed_at)}[/]" if each.failed_at else ""
                self._console.print(
                    f"{_BAD} [bold]{escape(each.database)}[/] failed{where}: "
                    f"{escape(describe(each.error))}",
                    soft_wrap=True,
                )
        if several:
            self._console.print(summary(results, not_attempted))

    @override
    def states(self, states: Sequence[DatabaseState], messages: Mapping[str, str]) -> None:
        table = _table("", "database", "revision", "pending", "")
        for each in states:
            mark = _GOOD if each.is_at_head else _BAD if each.error or each.unknown else _NOT_YET
            table.add_row(
                mark,
                escape(each.database),
                escape(names(each.current)),
                str(len(each.pending)) if each.pending else "-",
                escape(_remark(each)),
            )
        self._console.print(table)
        pending = dict.fromkeys(revision for each in states for revision in each.pending)
        if pending:
            self._console.print("Pending, in this order:")
            for revision in pending:
                self._console.print(
                    f"  [bold]{escape(revision)}[/]  {escape(messages.get(revision, ''))}"
                )

    @override
    def current(self, states: Sequence[DatabaseState]) -> None:
        table = _table("database", "revision")
        for each in states:
            shown = f"[red]{escape(describe(each.error))}[/]" if each.error else None
            table.add_row(escape(each.database), shown or escape(names(each.current)))
        self._console.print(table)

    @override
    def checks(self, checks: Sequence[SchemaCheck]) -> None:
        for each in checks:
            name = f"[bold]{escape(each.database)}[/]"
            if each.error is not None:
                self._console.print(f"{_BAD} {name}: {escape(describe(each.error))}")
            elif each.differences:
                self._console.print(f"{_BAD} {name} differs from the models:")
                for line in each.differences:
                    self._console.print(f"    {escape(line)}")
            else:
                self._console.print(f"{_GOOD} {name}: as the models")

    @override
    def revisions(self, revisions: Sequence[Revision], at: Mapping[str, Sequence[str]]) -> None:
        table = _table("revision", "follows", "message", "")
        for each in revisions:
            marks = [f"branch {label}" for label in each.branch_labels]
            marks += ["head"] if each.is_head else []
            marks += [
                f"current of {', '.join(found)}" for found in [at.get(each.revision)] if found
            ]
            table.add_row(
                f"[bold]{escape(each.revision)}[/]",
                escape(names(each.down_revisions)),
                escape(each.message),
                escape(", ".join(marks)),
            )
        self._console.print(table)

    @override
    def findings(self, findings: Sequence[Finding], revisions: Sequence[str]) -> None:
        for each in findings:
            self._console.print(
                f"{_BAD} [bold]{escape(each.revision)}[/] [yellow]{escape(each.rule)}[/] "
                f"{escape(each.message)}",
                soft_wrap=True,
            )
            self._console.print(f"    {escape(each.statement)}", style="dim", soft_wrap=True)
            if each.remedy:
                self._console.print(f"    {escape(each.remedy)}", soft_wrap=True)
        mark = _BAD if findings else _GOOD
        self._console.print(
            f"{mark} {len(findings)} finding{'' if len(findings) == 1 else 's'} in "
            f"{len(revisions)} migration{'' if len(revisions) == 1 else 's'}"
        )

    @override
    def failed(self, error: BaseException, message: str) -> None:
        del error
        self._end()
        self._errors.print(f"[red]error:[/] {escape(message)}", soft_wrap=True)

    @override
    def close(self) -> None:
        self._end()

    def _begin(self) -> Progress:
        if self._progress is None:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._errors,
                transient=True,
            )
            self._progress.start()
        return self._progress

    def _update(self, **changes: int) -> None:
        if self._progress is not None and self._revisions is not None:
            self._progress.update(self._revisions, **changes)  # pyright: ignore[reportArgumentType]  # by name

    def _end_task(self) -> None:
        if self._progress is not None and self._revisions is not None:
            self._progress.remove_task(self._revisions)
        self._revisions = None

    def _end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        justify = "right" if column in _NUMBERS else "left"
        table.add_column(column, overflow="fold", justify=justify)
    return table


def _remark(state: DatabaseState) -> str:
    if state.error is not None:
        return describe(state.error)
    if state.unknown:
        return f"the scripts do not have {', '.join(state.unknown)}"
    return "" if state.pending else "up to date"
