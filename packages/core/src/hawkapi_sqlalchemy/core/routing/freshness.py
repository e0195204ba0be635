"""What one request has to see: its client's writes, and its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from time import time
from types import MappingProxyType

from hawkapi_sqlalchemy.core.routing.positions import Position

__all__ = ["Freshness", "Requirement", "Requirements", "current_freshness"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a client has to see of a cluster.

    Args:
        position: How far a server's log must have been replayed. `None`: it is only known that
            the client has written, so that the primary alone is sure to show it.
        issued_at: When the client was told of its write, as `time.time()` counts.
    """

    position: Position | None
    issued_at: float

    def merged(self, other: Requirement) -> Requirement:
        """Answer what satisfies both.

        Args:
            other: The other requirement, of the same cluster.
        """
        return Requirement(
            _merged(self.position, other.position), max(self.issued_at, other.issued_at)
        )


type Requirements = Mapping[str, Requirement]
"""Requirements by cluster."""


class Freshness:
    """What one request has to see, and what it has committed itself.

    A cluster goes by the name of its primary database. Child tasks of the request share the
    object, and one that outlives the request goes on seeing what was written, for the time that a
    client would.

    Args:
        read: Answers what the client has to see; called once, when that is first asked for.
            `None`: nothing.
        max_age: Seconds for which what was written has to be seen. Default: without end.

    Attributes:
        closed: Whether the request has ended: its client is told nothing any more.
    """

    __slots__ = ("_incoming", "_max_age", "_noted", "_read", "closed")

    def __init__(
        self, read: Callable[[], Requirements] | None = None, max_age: float = math.inf
    ) -> None:
        self.closed = False
        self._max_age = max_age
        self._read = read
        self._incoming: Requirements = {}
        self._noted: dict[str, Requirement] = {}

    @property
    def incoming(self) -> Requirements:
        """What the client had to see when the request began."""
        read, self._read = self._read, None
        if read is not None:
            self._incoming = read()
        return self._incoming

    @property
    def noted(self) -> Mapping[str, Position | None]:
        """What the request has committed, by cluster; see `note`."""
        return MappingProxyType({name: each.position for name, each in self._noted.items()})

    def note(self, cluster: str, position: Position | None) -> None:
        """Take down that the request has committed something.

        Args:
            cluster: The name of the primary database.
            position: How far its log had got after the COMMIT; `None` where that could not be
                found out.
        """
        committed = Requirement(position, time())
        before = self._noted.get(cluster)
        self._noted[cluster] = committed if before is None else before.merged(committed)

    def required(self, cluster: str) -> Requirement | None:
        """Answer what the request has to see of a cluster: what its client wrote, and itself.

        Args:
            cluster: The name of the primary database.

        Returns:
            The requirement; `None` where any state of the data will do.
        """
        before = self._in_time(self.incoming.get(cluster))
        committed = self._in_time(self._noted.get(cluster))
        if before is None or committed is None:
            return before or committed
        return before.merged(committed)

    def close(self) -> None:
        """End the request's part, and let go of the request."""
        self.closed = True
        self._read = None

    def _in_time(self, requirement: Requirement | None) -> Requirement | None:
        if requirement is None or time() - requirement.issued_at > self._max_age:
            return None
        return requirement

    def to_tell(self) -> Mapping[str, Position | None]:
        """Answer what the client has to see from now on, what it had to see before included."""
        # What this request has committed comes last: it is the last to be left out for size.
        told = {name: each.position for name, each in self.incoming.items()}
        for cluster, committed in self._noted.items():
            before = self.incoming.get(cluster)
            told.pop(cluster, None)
            told[cluster] = (committed if before is None else before.merged(committed)).position
        return told


current_freshness: ContextVar[Freshness | None] = ContextVar(
    "hawkapi_sqlalchemy.current_freshness", default=None
)
"""That of the request which this code runs for; `None` where there is none."""


def _merged(one: Position | None, other: Position | None) -> Position | None:
    # An unknown position is not known to be covered by any other, nor is that of a server of
    # another kind, which the cluster had before.
    if one is None or other is None or type(one) is not type(other):
        return None
    return one.merged(other)
