"""The libraries that the servers need, which users of SQLite do without."""

import importlib.util
import os
from typing import Literal

from hawkapi_sqlalchemy.pytest.servers.errors import ServerMissingError

type Kind = Literal["postgresql", "mariadb"]

_EVERY_KIND = ("filelock", "psutil")
_DRIVERS: dict[Kind, str] = {"postgresql": "asyncpg", "mariadb": "aiomysql"}
_EXTRAS: dict[Kind, str] = {"postgresql": "postgres", "mariadb": "mysql"}


def require_tools(kind: Kind | None = None) -> None:
    """Make sure that this Python can run private servers; nothing is imported for it.

    Ask before `run` is imported: that fails where a library is missing.

    Args:
        kind: The kind of server, whose driver must be there too. By default only
            what every kind needs.

    Raises:
        ServerMissingError: A library is missing, and the remedy names the extra it
            comes with; or the system is Windows.
    """
    if os.name == "nt":
        raise ServerMissingError(
            "private database servers cannot be run on Windows",
            "give the URL of a server that runs already",
        )
    needed = _EVERY_KIND if kind is None else (*_EVERY_KIND, _DRIVERS[kind])
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        extras = _EXTRAS.values() if kind is None else (_EXTRAS[kind],)
        raise ServerMissingError(
            f"private database servers need {' and '.join(missing)}, not installed here",
            " or ".join(f"pip install 'hawkapi-sqlalchemy-pytest[{each}]'" for each in extras),
        )
