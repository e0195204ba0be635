"""Test databases on SQLite: in memory, or files in a temporary folder."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import URL

from hawkapi_sqlalchemy.pytest.provisioning.homes import Home
from hawkapi_sqlalchemy.pytest.provisioning.schema import Schema

__all__ = ["SQLiteHome"]


class SQLiteHome(Home):
    """A database in memory, filled from a file that holds the schema.

    Copies are files, as in production: a database in memory has no write-ahead log, so that a
    reader holds up who commits.

    Args:
        schema: What is in it.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._folder: Path | None = None
        self._keeper: sqlite3.Connection | None = None
        self._name = ""
        self._copies = 0

    @property
    def _url(self) -> URL:
        # A database of SQLite's `memdb` file system, which lives as long as one connection does.
        query = {"vfs": "memdb", "uri": "true"}
        return URL.create("sqlite+aiosqlite", database=f"file:{self._name}", query=query)

    def prepare(self) -> URL:
        """Make it; see `Home.prepare`."""
        if self._keeper is None:
            template = self._template()
            self._name = f"/hawkapi-test-{uuid4().hex}"
            keeper = sqlite3.connect(f"file:{self._name}?vfs=memdb", uri=True)
            source = sqlite3.connect(template)
            source.backup(keeper)
            source.close()
            self._keeper = keeper
        return self._url

    def _template(self) -> Path:
        if self._folder is None:
            folder = Path(tempfile.mkdtemp(prefix="hawkapi-sqlalchemy-"))
            file = folder / "template.db"
            try:
                self._schema.make(str(URL.create("sqlite+aiosqlite", database=str(file))))
                connection = sqlite3.connect(file)
                # All of it into the one file, of which alone copies are made; and a database in
                # memory cannot be one with a write-ahead log.
                connection.execute("PRAGMA journal_mode=DELETE")
                connection.close()
            except BaseException:
                shutil.rmtree(folder)
                raise
            self._folder = folder
        return self._folder / "template.db"

    def restore(self) -> None:
        """Make it anew; see `Home.restore`."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    @contextmanager
    def clone(self) -> Generator[URL]:
        """Provide a copy; see `Home.clone`."""
        template = self._template()
        self._copies += 1
        folder = template.parent / f"test-{self._copies}"
        folder.mkdir()
        try:
            shutil.copyfile(template, folder / "test.db")
            yield URL.create("sqlite+aiosqlite", database=str(folder / "test.db"))
        finally:
            # Connections whose loop has ended end in their own time, and take files along.
            shutil.rmtree(folder, onexc=_pass_over_what_has_gone)

    def close(self) -> None:
        """Remove the memory and the files."""
        self.restore()
        if self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None


def _pass_over_what_has_gone(_function: object, _path: str, error: BaseException) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
