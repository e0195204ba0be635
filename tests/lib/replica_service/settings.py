"""What a process of the service is told, through one environment variable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hawkapi import Request

from hawkapi_sqlalchemy import core
from hawkapi_sqlalchemy.core import DatabaseConfig

__all__ = ["VARIABLE", "Settings"]

VARIABLE = "REPLICA_SERVICE"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The databases of a service and how it uses them; all of it as JSON can hold it.

    Args:
        primary: The URL of the primary.
        replicas: The URLs of the replicas. One becomes `replica`, several become a list.
        config: Fields of every `DatabaseConfig`.
        replica_configs: Fields of each replica's `DatabaseConfig`, in the replicas' order.
        policy: Fields of the `ReplicaPolicy`; None passes none.
        read_your_writes: Fields of the `ReadYourWrites`; None passes none. `bind_to` is the name of
            the request header that tells the user.
        options: Further arguments of `init_database`: `startup_timeout`, for instance.
    """

    primary: str
    replicas: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    replica_configs: Sequence[Mapping[str, Any]] = ()
    policy: Mapping[str, Any] | None = None
    read_your_writes: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def dumps(self) -> str:
        """Write them as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Settings:
        """Read what `dumps` has written."""
        return cls(**json.loads(text))

    def arguments(self) -> dict[str, Any]:
        """Make the arguments of `init_database`."""
        databases: dict[str, Any] = {"primary": DatabaseConfig(self.primary, **self.config)}
        own = self.replica_configs or [{}] * len(self.replicas)
        replicas = [
            DatabaseConfig(url, **{**self.config, **fields})
            for url, fields in zip(self.replicas, own, strict=True)
        ]
        if replicas:
            databases["replica"] = replicas[0] if len(replicas) == 1 else replicas
        arguments = {"databases": databases, **self.options}
        if self.policy is not None:
            arguments["replicas"] = core.ReplicaPolicy(**self.policy)
        if self.read_your_writes is not None:
            arguments["read_your_writes"] = _read_your_writes(self.read_your_writes)
        return arguments


def _read_your_writes(fields: Mapping[str, Any]) -> Any:
    known = dict(fields)
    if "bind_to" in known:
        known["bind_to"] = _header(known["bind_to"])
    return core.ReadYourWrites(**known)


def _header(name: str) -> Callable[[Request], str | None]:
    return lambda request: request.headers.get(name)
