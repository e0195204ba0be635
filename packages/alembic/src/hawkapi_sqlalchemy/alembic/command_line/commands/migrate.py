"""Commands that change databases."""

import re
from collections.abc import Callable
from typing import Any

import click

from hawkapi_sqlalchemy.alembic.command_line.exits import FAILED
from hawkapi_sqlalchemy.alembic.command_line.options import Session, database_options, session
from hawkapi_sqlalchemy.alembic.errors import DatabasesFailedError

__all__ = ["downgrade", "stamp", "upgrade"]

_CANARY = click.option(
    "--canary", metavar="NAME", help="The database to begin with. Default: the first."
)


@click.command()
@click.argument("revision", default="head")
@_CANARY
@database_options
def upgrade(revision: str, **options: Any) -> None:
    """Migrate to REVISION, by default to the newest.

    `heads` is all of several newest ones, `+1` the next. Of several databases the
    first one is the canary: if a migration fails there, the others are left as
    they are. A failure later is that database's alone. The command may be repeated
    at any time: what is done stays done.
    """
    with session(**options) as here:
        _move(here, lambda: here.migrations.upgrade(revision, on_event=here.hear))


# A revision like -1 looks like an option.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("revision")
@_CANARY
@database_options
def downgrade(revision: str, **options: Any) -> None:
    """Undo migrations, down to REVISION, which stays.

    `-1` undoes the last one, `base` all of them. Data that a migration removed
    does not come back.
    """
    if not revision or re.match(r"-(?!\d+$)", revision):
        raise click.UsageError(f"no such option, and no revision: {revision!r}")
    with session(**options) as here:
        _move(here, lambda: here.migrations.downgrade(revision, on_event=here.hear))


@click.command(short_help="Note revisions in the database; run no migration.")
@click.argument("revisions", nargs=-1)
@click.option("--purge", is_flag=True, help="Forget what is noted first, also what is unknown.")
@database_options
def stamp(revisions: tuple[str, ...], *, purge: bool, **options: Any) -> None:
    """Note REVISIONS in the database, by default the newest, and run no migration."""
    wanted = revisions or ("head",)
    with session(**options) as here:
        _move(here, lambda: here.migrations.stamp(wanted, purge=purge, on_event=here.hear))


def _move(here: Session, move: Callable[[], object]) -> None:
    not_attempted: tuple[str, ...] = ()
    try:
        move()
    except DatabasesFailedError as error:
        not_attempted = error.not_attempted
        if here.verbose:
            for each in here.results:
                here.output.traceback(each.error)
        # Each is told by its name next.
        here.output.failed(error, str(error).partition("\n")[0].rstrip(":"))
        raise click.exceptions.Exit(FAILED) from error
    except KeyboardInterrupt:
        for name in here.cut_off:
            here.output.note(f"{name}: interrupted; `status` tells where it is")
        raise
    finally:
        if here.results:
            here.output.migrated(here.results, not_attempted)
