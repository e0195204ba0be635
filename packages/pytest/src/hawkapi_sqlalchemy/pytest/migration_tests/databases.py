"""The databases that migrations are tested on, where nobody provides others."""

import tempfile
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import URL

__all__ = ["FreshDatabase", "sqlite_file"]

type FreshDatabase = Callable[[], AbstractContextManager[str]]
"""Provides the URL of a fresh, empty database, which is gone at the end."""


@contextmanager
def sqlite_file() -> Generator[str]:
    """Provide a SQLite file in a temporary folder, which is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="hawkapi-migrations-") as folder:
        url = URL.create("sqlite+aiosqlite", database=str(Path(folder) / "migrated.db"))
        yield url.render_as_string(hide_password=False)
