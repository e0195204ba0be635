"""The command line, `hawkapi-migrate`."""

from hawkapi_sqlalchemy.alembic.command_line.main import main

__all__ = ["main"]
