"""Database servers that a test may harm."""

import secrets
from abc import ABC

from dbservers.stoppable import StoppableDaemon
from hawkapi_sqlalchemy.pytest.servers import server as package

# What the names of replicated databases begin with.
REPLICATED = "r_"


class DatabaseServer(StoppableDaemon, package.DatabaseServer, ABC):
    """A database server that a test may stop, kill, pause and start again."""


def replicated_name() -> str:
    """Invent the name of a database that replicas of every kind follow."""
    return f"{REPLICATED}{secrets.token_hex(6)}"
