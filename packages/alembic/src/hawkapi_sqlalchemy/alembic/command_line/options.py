"""What all commands have in common: the project, the databases, the way of showing results."""

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from hawkapi_sqlalchemy.alembic.command_line.exits import reporting
from hawkapi_sqlalchemy.alembic.command_line.output import Output, make_output
from hawkapi_sqlalchemy.alembic.events import DatabaseEnded, DatabaseStarted, Event
from hawkapi_sqlalchemy.alembic.program import Migrations
from hawkapi_sqlalchemy.alembic.results import MigrationResult

__all__ = ["Session", "database_options", "output_options", "project_options", "session"]


@dataclass
class Session:
    """One call of the command line.

    Attributes:
        output: Shows results.
        verbose: Whether tracebacks are shown.
        project: Arguments of `Migrations`.
        results: What has been done to databases so far.
    """

    output: Output
    verbose: bool
    project: dict[str, Any]
    results: list[MigrationResult] = field(default_factory=list[MigrationResult])
    _started: list[str] = field(default_factory=list[str])

    @cached_property
    def migrations(self) -> Migrations:
        """The project that the options name.

        Raises:
            MigrationError: There is none.
        """
        return Migrations(**self.project)

    def hear(self, event: Event) -> None:
        """Show what happens, and remember what was done."""
        match event:
            case DatabaseStarted(database):
                self._started.append(database)
            case DatabaseEnded(result):
                self.results.append(result)
            case _:
                pass
        self.output.event(event)

    @property
    def cut_off(self) -> list[str]:
        """The database that was under way when the command was interrupted."""
        ended = {each.database for each in self.results}
        return [name for name in self._started if name not in ended]


def output_options[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Add the options that say how results are shown."""
    options = (
        click.option("--json", "as_json", is_flag=True, help="Answer one JSON document."),
        click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
        click.option("-v", "--verbose", is_flag=True, help="Show Alembic's log, and tracebacks."),
    )
    return _all(options)(function)


def project_options[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Add the options that name the project, and those of the output."""
    options = (
        click.option(
            "-c",
            "--config",
            type=click.Path(path_type=Path),
            help="alembic.ini or pyproject.toml. Default: the one in this folder.",
        ),
        click.option(
            "-x", "x", multiple=True, metavar="NAME=VALUE", help="An argument for env.py."
        ),
    )
    return _all(options)(output_options(function))


def database_options[**P, T](function: Callable[P, T]) -> Callable[P, T]:
    """Add the options that choose databases, and those of the project."""
    options = (
        click.option(
            "-d",
            "--database",
            "databases",
            multiple=True,
            metavar="NAME",
            help="Only this one of several databases. May be given several times.",
        ),
        click.option(
            "--url",
            envvar="HAWKAPI_MIGRATE_URL",
            help="The database, in place of those in env.py. A password is safer in the "
            "environment: HAWKAPI_MIGRATE_URL.",
        ),
        click.option(
            "--wait",
            "wait_for_database",
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="How long to wait for a database that cannot be reached yet.",
        ),
    )
    return _all(options)(project_options(function))


def _all[**P, T](
    options: tuple[Callable[[Callable[P, T]], Callable[P, T]], ...],
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    def add(function: Callable[P, T]) -> Callable[P, T]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@contextmanager
def session(*, as_json: bool, quiet: bool, verbose: bool, **project: Any) -> Generator[Session]:
    """Open the call of a command, and end it with the status that fits.

    Args:
        as_json: See `output_options`.
        quiet: Likewise.
        verbose: Likewise.
        **project: Arguments of `Migrations`; those that were not given stand for its defaults.
    """
    output = make_output(as_json=as_json, quiet=quiet)
    with reporting(output, verbose=verbose), _log_to(output, quiet=quiet, verbose=verbose):
        yield Session(output, verbose, project)


class _Notes(logging.Handler):
    """Shows a log as notes."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        self._output.note(record.getMessage())


@contextmanager
def _log_to(output: Output, *, quiet: bool, verbose: bool) -> Generator[None]:
    """Show what takes its time: waiting for another run, for a lock."""
    names = ["hawkapi_sqlalchemy.alembic", *(["alembic"] if verbose else [])]
    handler = _Notes(output)
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        for name in names:
            logger = logging.getLogger(name)
            logger.removeHandler(handler)
            logger.setLevel(before[name])
