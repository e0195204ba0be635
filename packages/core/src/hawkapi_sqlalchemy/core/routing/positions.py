"""How far a server's log has got, as a value."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

__all__ = ["Position", "WalPosition", "load_position"]


class Position(ABC):
    """How far a server's log has got."""

    __slots__ = ()

    @abstractmethod
    def covers(self, other: Position) -> bool:
        """Tell whether who has replayed up to here shows all that another position stands for.

        Args:
            other: The other position; `False` for one of another kind.
        """

    @abstractmethod
    def merged(self, other: Position) -> Position:
        """Answer the later of two positions.

        Args:
            other: The other position.
        """

    @abstractmethod
    def dump(self) -> Any:
        """Answer the position as a value that JSON has; see `load_position`."""


@dataclass(frozen=True, slots=True)
class WalPosition(Position):
    """A position in PostgreSQL's write-ahead log.

    Args:
        timeline: The timeline.
        lsn: The position on it, in bytes.
    """

    timeline: int
    lsn: int

    def covers(self, other: Position) -> bool:
        """Tell whether both are on one timeline, and the other is not later."""
        return (
            isinstance(other, WalPosition)
            and self.timeline == other.timeline
            and self.lsn >= other.lsn
        )

    def merged(self, other: Position) -> Position:
        """Answer the one on the higher timeline, then the one further on."""
        if not isinstance(other, WalPosition):
            return self
        return max(self, other, key=lambda each: (each.timeline, each.lsn))

    def dump(self) -> Any:
        """Answer the position as a list."""
        return ["wal", self.timeline, self.lsn]


def load_position(value: object) -> Position:
    """Read what `Position.dump` has written.

    Args:
        value: The value, of any origin.

    Raises:
        ValueError: It is none.
    """
    match value:
        case ["wal", int(timeline), int(lsn)] if 0 <= timeline < 2**32 and 0 <= lsn < 2**64:
            return WalPosition(timeline, lsn)
        case _:
            raise ValueError("not a position")
