"""`hawkapi-migrate`, called as a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LONG_ENOUGH = 60.0
MODELS = """
from hawkapi_sqlalchemy.mixins import Base
from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column


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

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "hawkapi_sqlalchemy.alembic.command_line", *words]
        return subprocess.Popen(
            command, cwd=self.folder, env={**os.environ, **self.env}, text=True, **options
        )

    def __call__(self, *words: str, status: int = 0) -> str:
        """Call it, and answer what stands on the standard output."""
        process = self.start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, self.errors = process.communicate(timeout=LONG_ENOUGH)
        assert process.returncode == status, output + self.errors
        assert "Traceback" not in self.errors
        return output

    def json(self, *words: str, status: int = 0) -> Any:
        return json.loads(self(*words, "--json", status=status))
