"""Commands that write files."""

from pathlib import Path
from typing import Any

import click

from hawkapi_sqlalchemy.alembic.command_line.options import (
    database_options,
    output_options,
    project_options,
    session,
)
from hawkapi_sqlalchemy.alembic.command_line.templates import write_project

__all__ = ["init", "merge", "revision"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("migrations"))
@click.option(
    "--models",
    metavar="MODULE:NAME",
    help="The declarative base of the models, such as shop.models:Base.",
)
@click.option(
    "--env",
    "variable",
    metavar="NAME",
    default="DATABASE_URL",
    show_default=True,
    help="The environment variable that holds the database's URL.",
)
@output_options
def init(folder: Path, *, models: str | None, variable: str, **options: Any) -> None:
    """Make a migration project in FOLDER, by default ./migrations.

    Writes env.py and a template for revisions, and a section [tool.alembic] of
    pyproject.toml in this folder. What is there already is not overwritten.
    """
    with session(**options) as here:
        paths = write_project(folder, models=models, variable=variable)
        remarks = [
            *([] if models else [f"next: name your models in {folder / 'env.py'}"]),
            'then: hawkapi-migrate revision -m "first tables"',
        ]
        here.output.written(paths, remarks)


@click.command(short_help="Write a new revision.")
@click.option("-m", "--message", required=True, help="What it does, in a few words.")
@click.option("--empty", is_flag=True, help="Write an empty one. Default: what the database lacks.")
@click.option("--head", default="head", help="The revision that it follows.", show_default=True)
@click.option("--splice", is_flag=True, help="Let --head be another than the newest.")
@click.option("--branch-label", help="A name for the branch that begins here.")
@click.option("--version-path", help="The folder to write into, of several.")
@click.option("--rev-id", help="Its identifier. Default: a random one.")
@click.option("--depends-on", multiple=True, help="A revision that has to be applied before.")
@database_options
def revision(
    *,
    message: str,
    empty: bool,
    head: str,
    splice: bool,
    branch_label: str | None,
    version_path: str | None,
    rev_id: str | None,
    depends_on: tuple[str, ...],
    **options: Any,
) -> None:
    """Write a new revision, filled with what the databases lack of the models.

    Read it before it runs: autogenerate takes a renamed column for one that is
    dropped and one that is added. Several databases have to lack the same.
    """
    with session(**options) as here:
        made = here.migrations.revision(
            message,
            autogenerate=not empty,
            head=head,
            splice=splice,
            branch_label=branch_label,
            version_path=version_path,
            revision_id=rev_id,
            depends_on=depends_on,
        )
        if made is None:
            here.output.written([], ["nothing written: the schema is as the models are"])
        else:
            here.output.written([made.path], ["read it, then: hawkapi-migrate upgrade"])


@click.command()
@click.argument("revisions", nargs=-1)
@click.option("-m", "--message", help="What it does. Default: that it joins the heads.")
@click.option("--branch-label", help="A name for the branch that begins here.")
@click.option("--rev-id", help="Its identifier. Default: a random one.")
@project_options
def merge(
    revisions: tuple[str, ...],
    *,
    message: str | None,
    branch_label: str | None,
    rev_id: str | None,
    **options: Any,
) -> None:
    """Write a revision that joins REVISIONS, by default all heads."""
    with session(**options) as here:
        made = here.migrations.merge(
            revisions or ("heads",),
            message=message,
            branch_label=branch_label,
            revision_id=rev_id,
        )
        here.output.written([made.path], [])
