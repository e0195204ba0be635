"""Which replica gets a session: shares by weight, at any load, and less for a slow one."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from hawkapi_sqlalchemy.core.routing.choice import choose

SESSIONS = 20_000


@dataclass
class StandIn:
    """What a choice looks at."""

    weight: float = 1.0
    in_flight: int = 0
    seconds: float = 1.0
    chosen: int = 0


def serve(replicas: Sequence[StandIn], concurrency: int) -> None:
    """Let so many clients come again and again, each as soon as it is served."""
    dice = random.Random(3)
    ends: list[tuple[float, int, StandIn]] = []
    order = itertools.count()
    now = 0.0
    for number in range(SESSIONS):
        if number >= concurrency:
            now, _, done = heapq.heappop(ends)
            done.in_flight -= 1
        chosen = choose(replicas)
        chosen.chosen += 1
        chosen.in_flight += 1
        duration = dice.expovariate(1 / chosen.seconds)
        heapq.heappush(ends, (now + duration, next(order), chosen))


def shares(replicas: Sequence[StandIn]) -> list[float]:
    """What each got, compared with what its weight entitles it to: 1 is just right."""
    weights = sum(each.weight for each in replicas)
    return [each.chosen / SESSIONS / (each.weight / weights) for each in replicas]


@pytest.fixture(autouse=True)
def the_same_dice() -> None:
    random.seed(5)


@pytest.mark.parametrize("concurrency", [1, 3, 20, 400])
@pytest.mark.parametrize("weights", [(1, 1), (3, 1), (1, 2, 5), (1, 1, 1, 0.5), (1, 10)])
def test_sessions_are_spread_by_weight_within_a_tenth(weights, concurrency):
    replicas = [StandIn(weight) for weight in weights]
    serve(replicas, concurrency)
    assert shares(replicas) == [pytest.approx(1, abs=0.1)] * len(weights)


@pytest.mark.parametrize("concurrency", [20, 400])
@pytest.mark.parametrize("weights", [(1, 1), (1, 2, 5)])
def test_a_slow_replica_gets_clearly_less_than_its_share(weights, concurrency):
    replicas = [StandIn(weight) for weight in weights]
    replicas[0].seconds = 10.0
    serve(replicas, concurrency)
    slow, *others = shares(replicas)
    assert slow < 0.7
    assert min(others) > 1


def test_one_that_hangs_is_taken_only_when_both_draws_fall_on_it():
    hanging, well = StandIn(in_flight=50), StandIn()
    taken = [choose([hanging, well]) for _ in range(1000)]
    # Both of two choices fall on it in a quarter of the cases, and then there is no other.
    assert taken.count(hanging) < 320


def test_the_only_one_is_taken_however_busy_it_is():
    only = StandIn(in_flight=1000)
    assert choose([only]) is only
