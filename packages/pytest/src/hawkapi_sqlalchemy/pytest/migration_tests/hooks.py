"""How pytest gets the migration tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hawkapi_sqlalchemy.pytest.migration_tests.options import GROUP, chosen, is_wanted, of_others

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from hawkapi_sqlalchemy.pytest.migration_tests.project import Project

__all__ = ["add_migration_tests"]

_MARKER = "hawkapi_migrations: the tests of the migrations have it"


def add_migration_tests(
    config: pytest.Config, *, database: Callable[[], AbstractContextManager[str]] | None = None
) -> None:
    """Add the migration tests to a run that asks for them; `pytest_configure` calls it.

    In a run that does not, nothing is imported.

    Args:
        config: pytest's; `add_options` has declared the options.
        database: Provides the URL of a fresh, empty database, and removes that database at
            the end. It is called once for each test that needs one, while that test runs.
            Default: a SQLite file in a temporary folder.
    """
    config.addinivalue_line("markers", _MARKER)
    if is_wanted(config):
        config.pluginmanager.register(_MigrationTests(database), GROUP)


class _MigrationTests:
    """The hooks of a run that has migration tests."""

    def __init__(self, database: Callable[[], AbstractContextManager[str]] | None) -> None:
        self._database = database
        self._project: Project
        self._chosen: list[str] = []

    # Before pytest-xdist starts its workers, of which each would say the same.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Find the migration project.

        Raises:
            pytest.UsageError: There is none, a package is missing, or a test that was chosen.
        """
        from hawkapi_sqlalchemy.pytest.migration_tests.project import find_project

        self._project = find_project(session.config)
        # Not before: it needs the package that may be missing.
        from hawkapi_sqlalchemy.pytest.migration_tests.items import check_names

        check_names(chosen(session.config))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Keep our node ids from pytest, which looks for files of these names."""
        self._chosen = chosen(session.config)
        session.config.args[:] = of_others(session.config)

    # Before `-k`, `-m` and `--deselect` take tests away.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Add the tests."""
        from hawkapi_sqlalchemy.pytest.migration_tests.items import collect

        items.extend(collect(session, self._project, self._database, self._chosen))

    def pytest_report_teststatus(
        self, report: pytest.TestReport, config: pytest.Config
    ) -> tuple[str, str, str] | None:
        """With `-v`, say what was tested."""
        from hawkapi_sqlalchemy.pytest.migration_tests.items import description

        if report.when != "call" or config.get_verbosity() < 1 or hasattr(report, "wasxfail"):
            return None
        words = description(report.nodeid)
        if words is None:
            return None
        match report.outcome:
            case "passed":
                return "passed", ".", f"PASSED ({words})"
            case "failed":
                return "failed", "F", f"FAILED ({words})"
            case _:
                return None
