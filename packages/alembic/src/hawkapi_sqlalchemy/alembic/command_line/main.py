"""The commands, together."""

import click

from hawkapi_sqlalchemy.alembic.command_line.commands.look import (
    check,
    current,
    heads,
    history,
    status,
)
from hawkapi_sqlalchemy.alembic.command_line.commands.migrate import downgrade, stamp, upgrade
from hawkapi_sqlalchemy.alembic.command_line.commands.texts import lint, sql
from hawkapi_sqlalchemy.alembic.command_line.commands.write import init, merge, revision

__all__ = ["main"]

_EPILOG = """\
\b
Exit status:
  0    done
  1    something failed; what, and the remedy, is said
  2    the command line cannot be read
  3    check, lint or `status --check` found something
  130  interrupted

Each command has a --help of its own. The database comes from env.py, which calls
run_migrations(target_metadata=..., url=...); url may be several databases by name.
"""


@click.group(
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="hawkapi-sqlalchemy-alembic")
def main() -> None:
    """Migrate databases with Alembic: one of them, or many in one command."""


for _command in (
    init,
    revision,
    merge,
    upgrade,
    downgrade,
    stamp,
    status,
    current,
    heads,
    history,
    check,
    sql,
    lint,
):
    main.add_command(_command)
