"""The names of databases that mean something."""

from __future__ import annotations

__all__ = ["PRIMARY", "REPLICA", "is_replica", "set_name"]

PRIMARY = "primary"
REPLICA = "replica"


def is_replica(name: str) -> bool:
    """Tell by its name whether a database is a replica: `replica`, or one of a set, `replica:0`."""
    return name.partition(":")[0] == REPLICA


def set_name(name: str) -> str:
    """Answer the name by which sessions ask for a database: `replica` for one of a set."""
    return REPLICA if is_replica(name) else name
