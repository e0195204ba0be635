"""The databases of a run: private servers with their own settings, and SQLite files."""

import functools
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Self

from harness.catalogue import MARIADB, POSTGRESQL, SQLITE
from harness.durable import DurableRun
from harness.errors import BenchmarkError
from harness.targets import FileTarget, ServerTarget, Target
from hawkapi_sqlalchemy.pytest.servers.errors import ServerError, ServerMissingError
from hawkapi_sqlalchemy.pytest.servers.server import DatabaseServer


class Servers:
    """Starts what databases need, and ends it all. A context manager."""

    def __init__(self) -> None:
        self._run = DurableRun.new()
        self._targets: dict[tuple[str, str], Target] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._run.close()

    def folder(self, name: str) -> Path:
        """Return a folder that goes with the servers, also when the harness is killed."""
        self._run.workspace.open()
        folder = self._run.workspace.root / name
        folder.mkdir(exist_ok=True)
        return folder

    def start(self, kind: str) -> None:
        """Start the server of a kind of database, if it needs one.

        Raises:
            BenchmarkError: It is not installed, or does not start.
        """
        if kind != SQLITE:
            self._server(kind)

    def target(self, kind: str, peer: str) -> Target:
        """Return the peer's own database of a kind, made when it is asked for first."""
        key = (kind, peer)
        if key not in self._targets:
            self._targets[key] = (
                FileTarget(self.folder("files") / f"{peer}.sqlite")
                if kind == SQLITE
                else ServerTarget(kind, self._server(kind))
            )
        return self._targets[key]

    def version(self, kind: str) -> str:
        """Return the version of the server, or of the library."""
        if kind == SQLITE:
            return sqlite3.sqlite_version
        setting = {POSTGRESQL: "SHOW server_version", MARIADB: "SELECT version()"}[kind]
        return str(self._server(kind).execute(setting)[0][0])

    @functools.cache  # noqa: B019  # lives as long as the process
    def _server(self, kind: str) -> DatabaseServer:
        starters: dict[str, Callable[[], DatabaseServer]] = {
            POSTGRESQL: self._run.postgresql,
            MARIADB: self._run.mariadb,
        }
        try:
            return starters[kind]()
        except ServerMissingError as error:
            remedy = f"{error.remedy}, or leave it out with --database"
            raise BenchmarkError(error.reason, remedy) from error
        except ServerError as error:
            raise BenchmarkError(str(error)) from error
