"""How replicas are judged and used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from hawkapi_sqlalchemy.core.errors import ConfigurationError

__all__ = ["ReplicaPolicy", "WhenAllDown"]

type WhenAllDown = Literal["primary", "error", "best_effort"]


@dataclass(frozen=True, kw_only=True)
class ReplicaPolicy:
    """When a replica serves, and what happens when none does.

    Args:
        max_lag_seconds: Seconds that a replica may lag behind. PostgreSQL's is taken out when both
            limits are exceeded, MariaDB's and MySQL's, which tell no bytes, when this one is.
            Default 10.
        max_lag_bytes: Bytes of the primary's log that a PostgreSQL replica may lag behind. Default
            8 MiB.
        probe_interval: Seconds between two looks at a replica that serves, give or take a tenth.
            Default 1.
        probe_timeout: Seconds that the answer may take, a connection included that has to be opened
            for it. Five times as many for a replica that is down: nobody waits for it. Default 1.
        max_backoff: Seconds between two looks at a replica that is down, at most. They begin with
            `probe_interval` and are doubled. Default 3: two good looks are needed before it serves
            again, and a look at a server that refuses costs next to nothing. With ten times as much
            a replica that was restarted within a minute would stand idle for half a minute more.
        when_all_down: Who serves when no replica does: `"primary"`, the default; `"error"`: nobody,
            which is answered 503; `"best_effort"`: a replica that answers, however far behind, and
            without one the primary.
        max_spill: Connections, in each process, on which the primary serves the sessions of
            replicas that are all down; further sessions wait as they do for a full pool. Snapshots
            have as many of their own, in a second pool, so that there are at most twice as many
            where both kinds are used: a place that one pool has given to an idle connection, the
            other cannot take. They are part of `Database.checked_out`, but not of
            `Database.engines` and of health reports, which know the primary as such. Default: the
            primary's `pool_size`.
        max_waiters: Sessions, in each process, that may wait for one replica to catch up; further
            ones read from the primary at once. Default 100.

    Raises:
        ConfigurationError: A number is not positive, or `when_all_down` is none of the three.
    """

    max_lag_seconds: float = 10.0
    max_lag_bytes: int = 8 * 1024**2
    probe_interval: float = 1.0
    probe_timeout: float = 1.0
    max_backoff: float = 3.0
    when_all_down: WhenAllDown = "primary"
    max_spill: int | None = None
    max_waiters: int = 100

    def __post_init__(self) -> None:
        for name in (
            "max_lag_seconds",
            "max_lag_bytes",
            "probe_interval",
            "probe_timeout",
            "max_backoff",
            "max_spill",
            "max_waiters",
        ):
            value = getattr(self, name)
            # So written it refuses NaN too.
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name} is a positive number, not {value!r}")
        known = get_args(WhenAllDown.__value__)
        if self.when_all_down not in known:
            raise ConfigurationError(
                f"when_all_down is one of {', '.join(map(repr, known))}, not {self.when_all_down!r}"
            )
