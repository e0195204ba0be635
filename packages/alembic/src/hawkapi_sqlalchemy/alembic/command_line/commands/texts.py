"""Commands that write SQL out, and judge it."""

from pathlib import Path
from typing import Any

import click

from hawkapi_sqlalchemy.alembic.command_line.exits import FOUND
from hawkapi_sqlalchemy.alembic.command_line.options import database_options, session
from hawkapi_sqlalchemy.alembic.linting import RULES, lint_migrations

__all__ = ["lint", "sql"]

_RULES = "\n".join(f"  {name:26}{what}" for name, what in RULES.items())


@click.command()
@click.argument("revision", default="head")
@click.option(
    "--from", "start", metavar="REVISION", help="Where the database is. Default: it is empty."
)
@click.option("--downgrade", is_flag=True, help="Write a downgrade; needs --from.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="A file. Default: standard output."
)
@database_options
def sql(
    revision: str, *, start: str | None, downgrade: bool, output: Path | None, **options: Any
) -> None:
    """Write the SQL of a migration to REVISION, without a connection.

    Several databases of one kind have the same SQL; of several kinds choose one
    with --database.
    """
    with session(**options) as here:
        text = here.migrations.sql(revision, start=start, downgrade=downgrade)
        if output is None:
            here.output.sql(text)
        else:
            output.write_text(text, encoding="utf-8")
            here.output.written([output.absolute()], [])


@click.command(
    epilog=f"\b\nRules of our own:\n{_RULES}\n\nThose of squawk: https://squawkhq.com/docs/rules"
)
@click.option("--from", "start", metavar="REVISION", help="All that follow this revision.")
@click.option("--all", "everything", is_flag=True, help="All revisions.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Leave a rule out.")
@database_options
def lint(*, start: str | None, everything: bool, ignore: tuple[str, ...], **options: Any) -> None:
    """Tell of dangerous statements before they run.

    By default in what is pending; with --from or --all no database is asked. On
    PostgreSQL the rules are squawk's, where it is installed, and ours beside them.
    A comment /* lint: ignore RULE */ in the SQL of an op.execute() leaves a rule
    out there. Ends with status 3 if something is found.
    """
    with session(**options) as here:
        findings, revisions = lint_migrations(
            here.migrations, start="base" if everything else start, ignore=ignore
        )
        here.output.findings(findings, revisions)
        if findings:
            raise click.exceptions.Exit(FOUND)
