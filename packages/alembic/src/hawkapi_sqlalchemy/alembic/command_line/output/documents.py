"""One JSON document, for programs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, override

import click

from hawkapi_sqlalchemy.alembic.command_line.output.base import Output
from hawkapi_sqlalchemy.alembic.errors import DatabasesFailedError, describe
from hawkapi_sqlalchemy.alembic.events import Event
from hawkapi_sqlalchemy.alembic.linting import Finding
from hawkapi_sqlalchemy.alembic.results import (
    DatabaseState,
    MigrationResult,
    Revision,
    SchemaCheck,
)

__all__ = ["JsonOutput"]


class JsonOutput(Output):
    """See `Output`. The document is written at the end, and stands for the whole command.

    `ok` is whether it did what was asked, `error` why not; beside them stands what the
    command answers. A check that found something did what was asked.
    """

    def __init__(self) -> None:
        self._document: dict[str, Any] = {"ok": True, "error": None}

    @override
    def event(self, event: Event) -> None:
        del event

    @override
    def migrated(self, results: Sequence[MigrationResult], not_attempted: Sequence[str]) -> None:
        self._document["results"] = [
            {
                "database": each.database,
                "from": each.from_,
                "to": each.to,
                "applied": each.applied,
                "seconds": round(each.seconds, 6),
                "error": _error(each.error),
                "failed_at": each.failed_at,
            }
            for each in results
        ]
        self._document["not_attempted"] = list(not_attempted)

    @override
    def states(self, states: Sequence[DatabaseState], messages: Mapping[str, str]) -> None:
        self._answer(states)
        del messages
        self._document["databases"] = [
            {
                "database": each.database,
                "current": each.current,
                "pending": each.pending,
                "unknown": each.unknown,
                "is_at_head": each.is_at_head,
                "error": _error(each.error),
            }
            for each in states
        ]

    @override
    def current(self, states: Sequence[DatabaseState]) -> None:
        self._answer(states)
        self._document["databases"] = [
            {"database": each.database, "current": each.current, "error": _error(each.error)}
            for each in states
        ]

    @override
    def checks(self, checks: Sequence[SchemaCheck]) -> None:
        self._answer(checks)
        self._document["databases"] = [
            {
                "database": each.database,
                "differences": each.differences,
                "error": _error(each.error),
            }
            for each in checks
        ]

    def _answer(self, databases: Sequence[DatabaseState] | Sequence[SchemaCheck]) -> None:
        failed = [each.database for each in databases if each.error is not None]
        if failed:
            self._document["ok"] = False
            self._document["error"] = {
                "type": "DatabasesFailedError",
                "message": f"no answer of {', '.join(failed)}",
            }

    @override
    def revisions(self, revisions: Sequence[Revision], at: Mapping[str, Sequence[str]]) -> None:
        self._document["revisions"] = [
            {
                "revision": each.revision,
                "down_revisions": each.down_revisions,
                "depends_on": each.depends_on,
                "branch_labels": each.branch_labels,
                "message": each.message,
                "path": str(each.path),
                "is_head": each.is_head,
                "current_of": list(at.get(each.revision, ())),
            }
            for each in revisions
        ]

    @override
    def written(self, paths: Sequence[Path], remarks: Sequence[str]) -> None:
        del remarks
        self._document["written"] = [str(path) for path in paths]

    @override
    def sql(self, text: str) -> None:
        self._document["sql"] = text

    @override
    def findings(self, findings: Sequence[Finding], revisions: Sequence[str]) -> None:
        self._document["revisions"] = list(revisions)
        self._document["findings"] = [
            {
                "revision": each.revision,
                "rule": each.rule,
                "message": each.message,
                "remedy": each.remedy,
                "statement": each.statement,
                "source": each.source,
            }
            for each in findings
        ]

    @override
    def failed(self, error: BaseException, message: str) -> None:
        if isinstance(error, DatabasesFailedError) and "results" not in self._document:
            self.migrated(error.results, error.not_attempted)
        self._document["ok"] = False
        self._document["error"] = {"type": type(error).__name__, "message": message}

    @override
    def close(self) -> None:
        click.echo(json.dumps(self._document, indent=2))


def _error(error: BaseException | None) -> dict[str, str] | None:
    return None if error is None else {"type": type(error).__name__, "message": describe(error)}
