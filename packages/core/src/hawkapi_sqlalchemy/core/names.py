"""The names of databases that mean something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.errors import ConfigurationError

__all__ = ["PRIMARY", "REPLICA", "is_replica", "named_singly", "set_name"]

PRIMARY = "primary"
REPLICA = "replica"


def is_replica(name: str) -> bool:
    """Tell by its name whether a database is a replica: `replica`, or one of a set, `replica:0`."""
    return name.partition(":")[0] == REPLICA


def set_name(name: str) -> str:
    """Answer the name by which sessions ask for a database: `replica` for one of a set."""
    return REPLICA if is_replica(name) else name


def named_singly(
    configs: Mapping[str, DatabaseConfig | Sequence[DatabaseConfig]],
) -> Iterator[tuple[str, DatabaseConfig]]:
    """Give each of several replicas a name of its own.

    Args:
        configs: Name to configuration; `"replica"` may have several.

    Raises:
        ConfigurationError: There is no primary, or a list is empty.
    """
    if PRIMARY not in configs:
        given = ", ".join(repr(name) for name in configs) or "none"
        raise ConfigurationError(f"databases= needs a {PRIMARY!r}; given: {given}")
    for name, config in configs.items():
        if name == REPLICA and isinstance(config, Sequence):
            if not config:
                raise ConfigurationError(f"{name!r} is an empty list; leave it out instead")
            for number, each in enumerate(config):
                yield f"{name}:{number}", each
        else:
            yield name, config  # pyright: ignore[reportReturnType]  # `Database.add` refuses others
