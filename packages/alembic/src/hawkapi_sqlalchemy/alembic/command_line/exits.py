"""How the command ends: the exit status, and what is said of an error."""

import sysconfig
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import click
from alembic.util import CommandError

from hawkapi_sqlalchemy.alembic.command_line.output import Output
from hawkapi_sqlalchemy.alembic.errors import describe

__all__ = ["FAILED", "FOUND", "INTERRUPTED", "reporting"]

FAILED = 1
"""Something does not work; what, and the remedy, is said."""
FOUND = 3
"""A check found something: a difference, a pending migration, a dangerous statement."""
INTERRUPTED = 130
"""Ended by Ctrl-C."""


@contextmanager
def reporting(output: Output, *, verbose: bool) -> Generator[None]:
    """Say what went wrong, and end with the status that tells it.

    Args:
        output: Where it is said.
        verbose: Whether the traceback of an error is shown that is not one of use.
    """
    try:
        yield
    except click.exceptions.Exit:
        raise
    except click.ClickException:
        raise
    except CommandError as error:
        if verbose:
            output.traceback(error)
        output.failed(error, str(error))
        raise click.exceptions.Exit(FAILED) from error
    except KeyboardInterrupt as error:
        output.failed(error, "interrupted")
        raise click.exceptions.Exit(INTERRUPTED) from error
    except Exception as error:
        if verbose:
            output.traceback(error)
        output.failed(error, f"{describe(error)}{_where(error)}")
        raise click.exceptions.Exit(FAILED) from error
    finally:
        output.close()


def _where(error: BaseException) -> str:
    """Name the place in the user's own files that an error comes from: a migration, `env.py`."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(Path(frame.filename))]
    if not own:
        return ""
    path = Path(own[-1].filename)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return f" ({shown}, line {own[-1].lineno})"


def _is_own(path: Path) -> bool:
    others = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    others.append(Path(__file__).resolve().parent.parent)
    return path.is_file() and not any(path.resolve().is_relative_to(each) for each in others)
