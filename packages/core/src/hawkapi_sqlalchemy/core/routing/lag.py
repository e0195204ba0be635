"""How long ago the primary was where a replica is."""

from __future__ import annotations

from collections import deque

from hawkapi_sqlalchemy.core.routing.positions import Position

__all__ = ["PrimaryHistory"]

_LENGTH = 600
"""Entries that are kept: ten minutes with the default interval."""


class PrimaryHistory:
    """The primary's positions of late, each with the moment when it was first seen."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Position]] = deque(maxlen=_LENGTH)

    def add(self, now: float, position: Position) -> None:
        """Note where the primary is.

        Args:
            now: The moment, in seconds of any clock.
            position: The position.
        """
        if not self._seen or self._seen[-1][1] != position:
            self._seen.append((now, position))

    def lag(self, now: float, replayed: Position) -> float | None:
        """Tell for how many seconds at most a replica has not shown what the primary has.

        Args:
            now: The moment.
            replayed: The replica's position.

        Returns:
            0 if it shows all that is known; `None` if nothing is known.
        """
        if not self._seen:
            return None
        # From the newest backwards: a replica that keeps up is found at once.
        since: float | None = None
        for moment, position in reversed(self._seen):
            if replayed.covers(position):
                return 0.0 if since is None else now - since
            since = moment
        return None if since is None else now - since
