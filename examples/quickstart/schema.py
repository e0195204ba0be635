"""The schema, brought up to date from a program."""

from pathlib import Path

from alembic import command
from alembic.config import Config

_INI = Path(__file__).with_name("alembic.ini")


def upgrade() -> None:
    """Run the migrations that the database lacks, as `alembic upgrade head` does."""
    command.upgrade(Config(_INI), "head")
