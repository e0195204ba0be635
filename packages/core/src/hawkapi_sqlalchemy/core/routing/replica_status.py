"""What is told of a replica."""

from __future__ import annotations

from dataclasses import dataclass

from hawkapi_sqlalchemy.core.routing.condition import ReplicaState

__all__ = ["ReplicaStatus"]


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """A replica at one moment, for health reports and metrics.

    Attributes:
        name: Its name in `Database.engines`.
        state: Whether it serves; sessions are given to those that are `up`.
        reason: Why it does not serve; `None` while it does.
        lag_seconds: Seconds for which it has not shown what the primary has; `None` if unknown.
        lag_bytes: Bytes of the primary's log that it has not replayed; `None` if unknown, and
            always for MariaDB and MySQL.
        in_flight: Connections that are in use or waited for right now, in this process.
        served: Sessions that have read from it so far, in this process, those that joined another
            one of their request included.
        waiting: Sessions that wait for it to catch up right now, in this process.
        weight: Its share of the sessions, compared with that of the others.
    """

    name: str
    state: ReplicaState
    reason: str | None
    lag_seconds: float | None
    lag_bytes: int | None
    in_flight: int
    served: int
    waiting: int
    weight: float
