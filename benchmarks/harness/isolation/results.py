"""What was found about isolation, and how it is written in a file of results."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from harness.results import Verdict
from harness.spread import Spread


@dataclass(frozen=True)
class TestTime:
    """What a test costs in one way, on one kind of database.

    Attributes:
        database: The kind of database.
        way: How tests are kept apart.
        tests: How many of each run count.
        rounds: In how many rounds, each with a run of every way.
        milliseconds: Set-up, call and tear-down of a test: the median of a run, over the rounds.
        over_empty: Milliseconds more than an empty test in the same rounds; `None` for that.
        ratio: The time against ours in the same rounds; lower is better.
    """

    __test__ = False

    database: str
    way: str
    tests: int
    rounds: int
    milliseconds: Spread
    over_empty: Spread | None
    ratio: Spread


@dataclass(frozen=True)
class StartTime:
    """What the plugin adds to the start of pytest, in CPU time.

    Attributes:
        rounds: In how many rounds.
        milliseconds: More than without the plugin in the same round.
    """

    rounds: int
    milliseconds: Spread


def _nothing() -> dict[str, Any]:
    return {}


@dataclass
class Isolation:
    """All that was found about isolation.

    Attributes:
        made_at: When, in ISO 8601.
        mode: `short` or `full`.
        seed: Of the order.
        conditions: Machine, servers and packages.
        times: What tests cost.
        start: What the plugin adds to pytest's start.
        limits: What it may cost, and whether that holds.
    """

    made_at: str
    mode: str
    seed: int
    conditions: dict[str, Any] = field(default_factory=_nothing)
    times: list[TestTime] = field(default_factory=list[TestTime])
    start: StartTime | None = None
    limits: list[Verdict] = field(default_factory=list[Verdict])

    def as_dict(self) -> dict[str, Any]:
        """Answer what a file of results holds as `isolation`."""
        return asdict(self)

    @classmethod
    def parse(cls, found: dict[str, Any]) -> Self | None:
        """Read what `as_dict` answered; `None` where nothing was measured."""
        if not found:
            return None
        typed: dict[str, Any] = {
            "times": [TestTime(**_spreads(each)) for each in found["times"]],
            "start": StartTime(**_spreads(found["start"])) if found["start"] else None,
            "limits": [Verdict(**each) for each in found["limits"]],
        }
        return cls(**(found | typed))

    def time(self, way: str, database: str) -> TestTime | None:
        """Find what a test costs."""
        for each in self.times:
            if (each.way, each.database) == (way, database):
                return each
        return None


def _spreads(found: dict[str, Any]) -> dict[str, Any]:
    names = {"milliseconds", "over_empty", "ratio"} & set(found)
    return found | {name: Spread(**found[name]) if found[name] else None for name in names}
