"""How far a server's log has got, as values.

A position stands for all that was committed up to it. Positions come back from clients, in tokens:
`load_position` takes whatever it is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, override

from hawkapi_sqlalchemy.core.routing.gtid_sets import GtidSet
from hawkapi_sqlalchemy.core.routing.position import Position

__all__ = ["LARGEST_DUMP", "GtidPosition", "GtidSet", "Position", "WalPosition", "load_position"]

LARGEST_DUMP = 2048
"""The longest text of a `GtidSet`, in characters, that `load_position` takes."""
_MOST_DOMAINS = 64
_BITS_32 = 2**32
_BITS_64 = 2**64
_GTID = re.compile(r"([0-9]{1,10})-([0-9]{1,10})-([0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class WalPosition(Position):
    """A position in PostgreSQL's write-ahead log.

    Args:
        timeline: The timeline. A promotion begins a new one, and numbers of the old one that are
            higher than its beginning stand for what the promotion has lost.
        lsn: The position on it, in bytes.
    """

    timeline: int
    lsn: int

    @override
    def covers(self, other: Position) -> bool:
        """Tell whether both are on one timeline, and the other is not later."""
        return (
            isinstance(other, WalPosition)
            and self.timeline == other.timeline
            and self.lsn >= other.lsn
        )

    @override
    def shares_history(self, other: Position) -> bool:
        """Tell whether both are on one timeline."""
        return isinstance(other, WalPosition) and self.timeline == other.timeline

    @override
    def merged(self, other: Position) -> Position:
        """Answer the one on the higher timeline, then the one further on."""
        if not isinstance(other, WalPosition):
            return other
        return max(self, other, key=lambda each: (each.timeline, each.lsn))

    @override
    def dump(self) -> Any:
        """Answer the position as a list."""
        return ["wal", self.timeline, self.lsn]


@dataclass(frozen=True, slots=True)
class GtidPosition(Position):
    """A position in MariaDB's binary logs: for each domain, the last transaction.

    Sequence numbers of two servers are not compared. After a promotion both may have given the same
    ones away, and nothing tells which of the old server's the new one has.

    Args:
        last: Of each domain, in their order: the domain, the server that wrote, the sequence number
            that it gave the transaction. `parse` and `of` put it in order.
    """

    last: tuple[tuple[int, int, int], ...] = ()

    @classmethod
    def of(cls, last: Iterable[tuple[int, int, int]]) -> Self:
        """Make one.

        Args:
            last: Domain, server and sequence number, each domain once.

        Raises:
            ValueError: A number is out of its range, or a domain comes twice.
        """
        ordered = tuple(sorted(last))
        for domain, server, number in ordered:
            if not (0 <= domain < _BITS_32 and 0 <= server < _BITS_32 and 0 <= number < _BITS_64):
                raise ValueError(f"{domain}-{server}-{number} is not a GTID")
        if len({domain for domain, _, _ in ordered}) < len(ordered):
            raise ValueError("a domain comes twice")
        return cls(ordered)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read MariaDB's way of writing it, `0-1-25,3-1-4`.

        Args:
            text: The text; empty where nothing has been logged.

        Raises:
            ValueError: It is none.
        """
        return cls.of(_gtid(each) for each in text.split(",")) if text.strip() else cls()

    @override
    def covers(self, other: Position) -> bool:
        """Tell whether every domain of the other is here, by the same server, and as far."""
        if not isinstance(other, GtidPosition):
            return False
        mine = self._by_domain()
        return all(
            domain in mine and mine[domain][0] == server and mine[domain][1] >= number
            for domain, server, number in other.last
        )

    @override
    def shares_history(self, other: Position) -> bool:
        """Tell whether every domain of the other is here, by the same server."""
        if not isinstance(other, GtidPosition):
            return False
        mine = self._by_domain()
        return all(domain in mine and mine[domain][0] == server for domain, server, _ in other.last)

    @override
    def merged(self, other: Position) -> Position:
        """Answer, for each domain, the higher sequence number."""
        if not isinstance(other, GtidPosition):
            return other
        merged: dict[int, tuple[int, int, int]] = {}
        for each in (*self.last, *other.last):
            before = merged.get(each[0], each)
            merged[each[0]] = max(before, each, key=lambda gtid: (gtid[2], gtid[1]))
        return GtidPosition.of(merged.values())

    @override
    def dump(self) -> Any:
        """Answer the position as a list."""
        return ["gtid", [list(each) for each in self.last]]

    def _by_domain(self) -> dict[int, tuple[int, int]]:
        return {domain: (server, number) for domain, server, number in self.last}


def load_position(value: object) -> Position:
    """Read what `Position.dump` has written.

    Args:
        value: The value, of any origin.

    Raises:
        ValueError: It is none, or larger than any that this package gives away.
    """
    match _items(value):
        case ["wal", timeline, lsn]:
            return WalPosition(_number(timeline, _BITS_32), _number(lsn, _BITS_64))
        case ["gtid", last]:
            return GtidPosition.of(_loaded_gtid(each) for each in _items(last))
        case ["gtid_set", str(text)] if len(text) <= LARGEST_DUMP:
            return GtidSet.parse(text)
        case _:
            raise ValueError("not a position")


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError("not a list")  # noqa: TRY004  # what a client has sent is no type error
    items: list[object] = value  # pyright: ignore[reportUnknownVariableType]  # of anything
    if len(items) > _MOST_DOMAINS:
        raise ValueError("too long")
    return items


def _number(value: object, limit: int) -> int:
    # `True` is an int.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < limit:
        raise ValueError("not a number of a position")
    return value


def _loaded_gtid(value: object) -> tuple[int, int, int]:
    match _items(value):
        case [domain, server, number]:
            return (
                _number(domain, _BITS_32),
                _number(server, _BITS_32),
                _number(number, _BITS_64),
            )
        case _:
            raise ValueError("not a GTID")


def _gtid(text: str) -> tuple[int, int, int]:
    found = _GTID.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:80]!r} is not a GTID")
    domain, server, number = (int(each) for each in found.groups())
    return domain, server, number
