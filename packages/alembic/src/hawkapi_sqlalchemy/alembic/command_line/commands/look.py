"""Commands that look, and change nothing."""

from collections import defaultdict
from typing import Any

import click

from hawkapi_sqlalchemy.alembic.command_line.exits import FAILED, FOUND
from hawkapi_sqlalchemy.alembic.command_line.options import (
    database_options,
    project_options,
    session,
)

__all__ = ["check", "current", "heads", "history", "status"]


@click.command()
@click.option("--check", "fails", is_flag=True, help="End with status 3 unless all are up to date.")
@database_options
def status(*, fails: bool, **options: Any) -> None:
    """Show where each database stands, and what is pending."""
    with session(**options) as here:
        states = here.migrations.current()
        messages = {each.revision: each.message for each in here.migrations.history()}
        here.output.states(states, messages)
        if any(each.error for each in states):
            raise click.exceptions.Exit(FAILED)
        if fails and not all(each.is_at_head for each in states):
            raise click.exceptions.Exit(FOUND)


@click.command()
@database_options
def current(**options: Any) -> None:
    """Show the revision of each database."""
    with session(**options) as here:
        states = here.migrations.current()
        here.output.current(states)
        if any(each.error for each in states):
            raise click.exceptions.Exit(FAILED)


@click.command()
@project_options
def heads(**options: Any) -> None:
    """Show the newest revisions of the scripts. No database is asked."""
    with session(**options) as here:
        here.output.revisions(here.migrations.heads(), {})


@click.command()
@click.option("--current", "asks", is_flag=True, help="Also show which database is where.")
@database_options
def history(*, asks: bool, **options: Any) -> None:
    """Show the revisions of the scripts, the newest first. No database is asked by default."""
    with session(**options) as here:
        at: dict[str, list[str]] = defaultdict(list)
        states = here.migrations.current() if asks else []
        for each in states:
            for revision in each.current:
                at[revision].append(each.database)
        here.output.revisions(here.migrations.history(), at)
        if failed := [each for each in states if each.error]:
            here.output.current(failed)
            raise click.exceptions.Exit(FAILED)


@click.command()
@database_options
def check(**options: Any) -> None:
    """Compare the schema of each database with the models.

    Ends with status 3 if one differs, which is named. Databases have to be at the
    newest revision.
    """
    with session(**options) as here:
        checks = here.migrations.check()
        here.output.checks(checks)
        if any(each.error for each in checks):
            raise click.exceptions.Exit(FAILED)
        if any(each.differences for each in checks):
            raise click.exceptions.Exit(FOUND)
