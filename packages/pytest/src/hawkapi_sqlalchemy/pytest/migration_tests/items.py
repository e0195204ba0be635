"""The migration tests, as pytest sees them."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from hawkapi_sqlalchemy.pytest.migration_tests.checks import CHECKS
from hawkapi_sqlalchemy.pytest.migration_tests.databases import FreshDatabase, sqlite_file
from hawkapi_sqlalchemy.pytest.migration_tests.failures import represent
from hawkapi_sqlalchemy.pytest.migration_tests.options import GROUP, names_of
from hawkapi_sqlalchemy.pytest.migration_tests.project import Project

__all__ = ["MigrationTest", "MigrationTests", "check_names", "collect", "description"]

_CHECKS = {check.__name__: check for check in CHECKS}


def check_names(chosen: Sequence[str]) -> None:
    """Make sure that there are tests of these names.

    Args:
        chosen: Their node ids.

    Raises:
        pytest.UsageError: There is none of a name.
    """
    if unknown := sorted(names_of(chosen) - set(_CHECKS)):
        raise pytest.UsageError(
            f"there is no migration test {', '.join(unknown)}; there are {', '.join(_CHECKS)}"
        )


def collect(
    session: pytest.Session,
    project: Project,
    database: FreshDatabase | None,
    chosen: Sequence[str],
) -> Iterator[pytest.Item]:
    """Make the tests.

    Args:
        session: pytest's.
        project: What is tested.
        database: Provides a fresh database for each; `None` for a SQLite file.
        chosen: The node ids that are wanted; none for all.
    """
    names = names_of(chosen)
    # pytest leaves the types of a node's arguments open.
    group: MigrationTests = cast("Any", MigrationTests).from_parent(
        session, name=GROUP, nodeid=GROUP
    )
    group.tests = [
        cast("Any", MigrationTest).from_parent(
            group, name=name, check=check, project=project, database=database
        )
        for name, check in _CHECKS.items()
        if not names or name in names
    ]
    # Through pytest's own walk, so that it tells its plugins and counts them.
    return session.genitems(group)


def description(nodeid: str) -> str | None:
    """Say in a few words what a test is about.

    Args:
        nodeid: Its node id.

    Returns:
        `None` if it is not one of ours.
    """
    group, _, name = nodeid.partition("::")
    check = _CHECKS.get(name) if group == GROUP else None
    return None if check is None else (inspect.getdoc(check) or "").rstrip(".")


class MigrationTests(pytest.Collector):
    """The group of them.

    Attributes:
        tests: Those that are wanted.
    """

    tests: list[pytest.Item]

    def collect(self) -> list[pytest.Item]:
        """Answer them."""
        return self.tests


class MigrationTest(pytest.Item):
    """One of them.

    Args:
        check: What it does.
        project: What is tested.
        database: Provides a fresh database; `None` for a SQLite file.
        of_node: What pytest's `Item` gets.
    """

    def __init__(
        self,
        *,
        check: Callable[[Project, FreshDatabase], None],
        project: Project,
        database: FreshDatabase | None,
        **of_node: Any,
    ) -> None:
        cast("Any", super()).__init__(**of_node)
        # pytest shows its docstring with `--collect-only -v`.
        self.obj = check
        self._project = project
        self._database = database or sqlite_file
        self.add_marker("hawkapi_migrations")

    def runtest(self) -> None:
        """Run it."""
        with self._project.entered():
            self.obj(self._project, self._database)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show why it failed."""
        found = represent(excinfo, self._project, self.config)
        return super().repr_failure(excinfo, style) if found is None else found

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Tell where it comes from: the project's configuration."""
        return self._project.file, None, self.name
