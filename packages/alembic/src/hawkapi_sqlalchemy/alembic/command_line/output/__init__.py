"""What the commands show: plain lines, tables on a terminal, or one JSON document."""

import importlib.util
import sys

from hawkapi_sqlalchemy.alembic.command_line.output.base import Output

__all__ = ["Output", "make_output"]


def make_output(*, as_json: bool, quiet: bool) -> Output:
    """Choose the way in which results are shown.

    Args:
        as_json: One JSON document on the standard output, for programs.
        quiet: No progress.
    """
    if as_json:
        from hawkapi_sqlalchemy.alembic.command_line.output.documents import JsonOutput

        return JsonOutput()
    # Tables for people; what reads a pipe wants lines.
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        from hawkapi_sqlalchemy.alembic.command_line.output.tables import RichOutput

        return RichOutput(quiet=quiet)
    from hawkapi_sqlalchemy.alembic.command_line.output.plain import PlainOutput

    return PlainOutput(quiet=quiet)
