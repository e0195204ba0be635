"""What is wrong with migrations, and how that is shown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from alembic.util import CommandError

from hawkapi_sqlalchemy.alembic.errors import describe
from hawkapi_sqlalchemy.pytest.migration_tests.project import Project

__all__ = ["CommandFailed", "MigrationTestFailed", "represent"]


class MigrationTestFailed(Exception):  # noqa: N818 - pytest shows the name beside the message
    """A migration test found something.

    Args:
        what: It, in a few words.
        details: A line for each part of it.
        remedy: What can be done.
    """

    # As pytest's own `Failed`: its one-line summary has no room for the path of a module.
    __module__ = "builtins"

    def __init__(self, what: str, details: Sequence[str] = (), *, remedy: str = "") -> None:
        lines = [what, *(f"  {each}" for each in details), *([remedy] if remedy else [])]
        super().__init__("\n".join(lines))


class CommandFailed(MigrationTestFailed):
    """A command raised.

    Args:
        what: Which, and at which revision.
        error: What it raised.

    Attributes:
        error: That.
    """

    __module__ = "builtins"

    def __init__(self, what: str, error: Exception) -> None:
        self.error = error
        super().__init__(f"{what}: {describe(error)}")


def represent(
    excinfo: pytest.ExceptionInfo[BaseException], project: Project, config: pytest.Config
) -> Any:
    """Show a failure: a message, and of an error in the project's own files where it was raised.

    Args:
        excinfo: The failure.
        project: Whose files are its own.
        config: pytest's.

    Returns:
        What pytest shows; `None` for an error that is not of migrations.
    """
    if not isinstance(excinfo.value, MigrationTestFailed) or config.getoption("fulltrace"):
        return None
    shown: Any = excinfo.getrepr(style="value", chain=False)
    # Errors of Alembic and of ours say all in their message.
    if isinstance(excinfo.value, CommandFailed) and not isinstance(
        excinfo.value.error, CommandError
    ):
        parts = [*_tracebacks(excinfo.value.error, project, config)]
        if parts:
            shown.addsection("raised in the project's files", "\nand then\n".join(parts))
    return shown


def _tracebacks(error: BaseException, project: Project, config: pytest.Config) -> Iterator[str]:
    """Write out an error and what it was raised for, as far as the project's files had part in it.

    What a driver raised is left out: SQLAlchemy's error says the same.
    """
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _tracebacks(earlier, project, config)
    raised = pytest.ExceptionInfo[BaseException].from_exception(error)
    if _own_entries(raised, project):
        shown = raised.getrepr(
            style="long" if config.getoption("tbstyle") == "long" else "short",
            showlocals=bool(config.getoption("showlocals")),
            tbfilter=lambda each: _own_entries(each, project),
            chain=False,
        )
        yield str(shown)


def _own_entries(raised: pytest.ExceptionInfo[BaseException], project: Project) -> Any:
    def is_own(entry: Any) -> bool:
        module = str(entry.frame.f_globals.get("__name__", ""))
        is_ours = module.startswith("hawkapi_sqlalchemy.")
        return project.holds(Path(entry.path)) and not is_ours

    return raised.traceback.filter(is_own)
