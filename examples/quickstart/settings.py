"""What the environment decides."""

import os

DEFAULT_URL = "sqlite+aiosqlite:///quickstart.db"


def database_url() -> str:
    """The database to use: `DATABASE_URL`, or a file in the current folder."""
    return os.environ.get("DATABASE_URL") or DEFAULT_URL
