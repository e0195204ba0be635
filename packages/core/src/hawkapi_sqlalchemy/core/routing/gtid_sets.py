"""MySQL's positions: sets of transactions, what they look like, and their union.

See https://dev.mysql.com/doc/refman/8.4/en/replication-gtids-concepts.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, override

from hawkapi_sqlalchemy.core.routing.position import Position

__all__ = ["GtidSet"]

type Intervals = tuple[tuple[int, int], ...]
"""First and last numbers, in their order; no two touch."""
type Sources = tuple[tuple[str, Intervals], ...]
"""Of each source, in their order: the UUID, with its tag if any, and its numbers."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")
_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class GtidSet(Position):
    """A set of MySQL's transactions: for each source, the numbers it has given away.

    Args:
        sources: Of each source, in their order: its UUID, with its tag if there is one
            (`uuid:tag`), and the numbers as intervals. `parse` puts it in order.
    """

    sources: Sources = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read MySQL's way of writing it, `uuid:1-5:7,uuid:tag:1-3`.

        Args:
            text: The text; empty where nothing has been logged.

        Raises:
            ValueError: It is none.
        """
        return cls(_parse_sources(text))

    def __str__(self) -> str:
        return _write_sources(self.sources)

    @override
    def covers(self, other: Position) -> bool:
        """Tell whether all the other's transactions are here."""
        if not isinstance(other, GtidSet):
            return False
        mine = dict(self.sources)
        return all(
            any(low <= first and last <= high for low, high in mine.get(source, ()))
            for source, intervals in other.sources
            for first, last in intervals
        )

    @override
    def shares_history(self, other: Position) -> bool:
        """Tell whether every source of the other is here."""
        if not isinstance(other, GtidSet):
            return False
        mine = dict(self.sources)
        return all(source in mine for source, _ in other.sources)

    @override
    def merged(self, other: Position) -> Position:
        """Answer the union."""
        if not isinstance(other, GtidSet):
            return other
        return GtidSet(_union((*self.sources, *other.sources)))

    @override
    def dump(self) -> Any:
        """Answer the position as a list."""
        return ["gtid_set", str(self)]


def _parse_sources(text: str) -> Sources:
    """Read a set, `uuid:1-5:7,uuid:tag:1-3`.

    Args:
        text: The text. MySQL breaks it into lines; capitals mean the same.

    Raises:
        ValueError: It is none.
    """
    compact = "".join(text.split()).lower()
    if not compact:
        return ()
    found: list[tuple[str, Intervals]] = []
    for entry in compact.split(","):
        uuid, *parts = entry.split(":")
        if not _UUID.fullmatch(uuid) or not parts:
            raise ValueError(f"{entry[:80]!r} is not a set of GTIDs")
        source = uuid
        for part in parts:
            # A tag holds for the intervals after it, up to the next one.
            if _TAG.fullmatch(part):
                source = f"{uuid}:{part}"
            else:
                found.append((source, (_interval(part),)))
    return _union(found)


def _write_sources(sources: Sources) -> str:
    """Write a set as `_parse_sources` reads it.

    Args:
        sources: The set.
    """
    return ",".join(
        ":".join((source, *(_text(first, last) for first, last in intervals)))
        for source, intervals in sources
    )


def _union(sources: Iterable[tuple[str, Intervals]]) -> Sources:
    """Unite sets.

    Args:
        sources: Sources with their numbers; a source may come several times, its intervals in any
            order.
    """
    collected: dict[str, list[tuple[int, int]]] = {}
    for source, intervals in sources:
        collected.setdefault(source, []).extend(intervals)
    return tuple((source, _joined(each)) for source, each in sorted(collected.items()))


def _joined(intervals: list[tuple[int, int]]) -> Intervals:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def _interval(text: str) -> tuple[int, int]:
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:80]!r} is not an interval of GTIDs")
    first = int(found[1])
    last = first if found[2] is None else int(found[2])
    if not 1 <= first <= last < _LIMIT:
        raise ValueError(f"{text!r} is not an interval of GTIDs")
    return first, last


def _text(first: int, last: int) -> str:
    return str(first) if first == last else f"{first}-{last}"
