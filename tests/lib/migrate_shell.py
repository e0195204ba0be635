"""`hawkapi-migrate`, called in this process or as one of its own."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from click.testing import CliRunner

from hawkapi_sqlalchemy.alembic.command_line import main

LONG_ENOUGH = 60.0
# Whoever runs the tests in the background has SIGINT ignored, which children inherit.
_START = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from hawkapi_sqlalchemy.alembic.command_line import main
main(prog_name="hawkapi-migrate")
"""
MODELS = """
from hawkapi_sqlalchemy.mixins.naming import naming_convention
from sqlalchemy import ForeignKey, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=naming_convention())


class Pet(Base):
    __tablename__ = "pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)


class Toy(Base):
    __tablename__ = "toys"
    id: Mapped[int] = mapped_column(primary_key=True)
    pet_id: Mapped[int] = mapped_column(ForeignKey("pets.id"))
"""


@dataclass
class Shell:
    """A folder in which the command is called."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict[str, str])
    errors: str = ""
    _started: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    def __call__(self, *words: str, status: int = 0) -> str:
        """Call it in this process, and answer what stands on the standard output."""
        with self._here():
            done = CliRunner().invoke(main, words, prog_name="hawkapi-migrate")
        self.errors = done.stderr
        assert done.exit_code == status, done.output
        assert "Traceback" not in done.output or "--verbose" in words
        return done.stdout

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self(*words, "--json", status=status))

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start it as a process."""
        process = subprocess.Popen(
            [sys.executable, "-c", _START, *words],
            cwd=self.folder,
            env={**os.environ, **self.env},
            text=True,
            **options,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """End what a test has left."""
        for process in self._started:
            process.kill()
            process.communicate()

    @contextlib.contextmanager
    def _here(self) -> Iterator[None]:
        """Be where a process of its own would be: what it imports is forgotten."""
        path = [*sys.path]
        with contextlib.chdir(self.folder), mock.patch.dict(os.environ, self.env):
            try:
                yield
            finally:
                sys.path[:] = path
                sys.modules.pop("shop_models", None)
                # Finders of a relative path keep the folder in which they were made.
                sys.path_importer_cache.clear()
