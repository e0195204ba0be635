"""The schema, brought up to date from a program."""

from pathlib import Path

from hawkapi_sqlalchemy.alembic import Migrations

_INI = Path(__file__).with_name("alembic.ini")


def upgrade() -> None:
    """Run the migrations that the database lacks, as `hawkapi-migrate upgrade` does."""
    Migrations(_INI).upgrade()
