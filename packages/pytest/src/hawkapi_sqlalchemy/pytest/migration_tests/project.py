"""The migration project that is tested."""

import importlib
import os
import sys
from collections.abc import Generator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hawkapi_sqlalchemy.pytest.migration_tests.options import FILES, file_at, place

__all__ = ["Project", "find_project"]

_REMEDY = (
    "name it by `--hawkapi-migrations PATH`, or by hawkapi_migrations in pytest's configuration "
    "file; `hawkapi-migrate init` makes one"
)


@dataclass(frozen=True)
class Project:
    """A migration project.

    Attributes:
        file: Alembic's configuration.
        root: The folder that paths are shown from.
    """

    file: Path
    root: Path

    @contextmanager
    def entered(self) -> Generator[None]:
        """Work in the project's folder, as Alembic's commands do; its `sys.path` ends with it."""
        before = sys.path[:]
        with chdir(self.file.parent):
            # Python keeps the folder that `.` was when it first looked for a module there.
            importlib.invalidate_caches()
            try:
                yield
            finally:
                sys.path[:] = before
                importlib.invalidate_caches()

    def shown(self, path: Path) -> str:
        """Answer a path as people read it."""
        return os.path.relpath(path, self.root) if path.is_relative_to(self.root) else str(path)

    def holds(self, path: Path) -> bool:
        """Tell whether a source file is the project's own, and not an installed package's."""
        is_installed = {"site-packages", "dist-packages"} & set(path.parts)
        folders = (self.root, self.file.parent)
        return not is_installed and any(path.is_relative_to(each) for each in folders)


def find_project(config: pytest.Config) -> Project:
    """Find the project that is configured.

    Args:
        config: pytest's.

    Raises:
        pytest.UsageError: There is none, or our package for migrations is not installed.
    """
    try:
        from hawkapi_sqlalchemy.alembic import MigrationError
        from hawkapi_sqlalchemy.alembic.configuration import find_config
    except ModuleNotFoundError as error:
        raise pytest.UsageError(
            f"the migration tests need {error.name}, which is not installed: "
            "pip install hawkapi-sqlalchemy-alembic"
        ) from error
    file = file_at(place(config).resolve())
    if file.is_dir():
        raise pytest.UsageError(
            f"no migrations to test: {file} has neither {' nor '.join(FILES)}; {_REMEDY}"
        )
    if not file.is_file():
        raise pytest.UsageError(f"no migrations to test: there is no {file}; {_REMEDY}")
    try:
        find_config(file)
    except MigrationError as error:
        raise pytest.UsageError(f"no migrations to test: {error}; or {_REMEDY}") from error
    return Project(file, config.rootpath)
