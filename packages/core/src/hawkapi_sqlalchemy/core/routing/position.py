"""How far a server's log has got, of whatever kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

__all__ = ["Position"]


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
    def shares_history(self, other: Position) -> bool:
        """Tell whether a log that is here can be expected to get to another position.

        `False` where the two logs have parted, as after a promotion, or are of different kinds:
        waiting would be in vain.

        Args:
            other: The other position.
        """

    @abstractmethod
    def merged(self, other: Position) -> Position:
        """Answer the later of two positions.

        It covers both, if they are of one history.

        Args:
            other: The other position; of another kind, it is taken for the later one.
        """

    @abstractmethod
    def dump(self) -> Any:
        """Answer the position as a value that JSON has; see `load_position`."""
