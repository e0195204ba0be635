"""What is wrong with migrations, and how that is shown."""

from collections.abc import Sequence
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
    if isinstance(excinfo.value, CommandFailed):
        error = excinfo.value.error
        raised = pytest.ExceptionInfo[Exception].from_exception(error)
        # Errors of Alembic and of ours say all in their message.
        if not isinstance(error, CommandError) and _own_entries(raised, project):
            shown.addsection("raised in the project's files", _traceback(raised, project, config))
    return shown


def _traceback(
    raised: pytest.ExceptionInfo[Exception], project: Project, config: pytest.Config
) -> str:
    style: Any = config.getoption("tbstyle")
    # A driver's error stands in SQLAlchemy's; its own traceback would lead into the driver.
    is_of_driver = getattr(raised.value, "orig", None) is not None
    return str(
        raised.getrepr(
            style=style if style in {"long", "native"} else "short",
            showlocals=bool(config.getoption("showlocals")),
            tbfilter=lambda each: _own_entries(each, project),
            chain=not is_of_driver,
        )
    )


def _own_entries(raised: pytest.ExceptionInfo[BaseException], project: Project) -> Any:
    def is_own(entry: Any) -> bool:
        module = str(entry.frame.f_globals.get("__name__", ""))
        is_ours = module.startswith("hawkapi_sqlalchemy.")
        return project.holds(Path(entry.path)) and not is_ours

    return raised.traceback.filter(is_own)
