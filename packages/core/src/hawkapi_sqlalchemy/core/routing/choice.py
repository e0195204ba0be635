"""Which of several replicas gets the next session."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hawkapi_sqlalchemy.core.routing.replica import Replica

__all__ = ["choose"]

_LEAD = 2
"""Sessions by which one may be busier than its weight has it, before the other one is taken."""


def choose(replicas: Sequence[Replica]) -> Replica:
    """Choose by the power of two choices: two at random, by weight, and of them the less busy.

    A lead of a session or two decides nothing. Without that tolerance a quiet application would
    send nearly all to the heaviest: with nothing in flight anywhere it is always the least busy.
    The two are never the same: one that has fallen silent, and keeps each session that it gets,
    would have all of them soon.

    Args:
        replicas: Those that may serve; at least one.
    """
    if len(replicas) == 1:
        return replicas[0]
    first = _draw(replicas)
    second = _draw([each for each in replicas if each is not first])
    mean = (first.weight + second.weight) / 2
    lead = first.in_flight / (first.weight / mean) - second.in_flight / (second.weight / mean)
    return second if lead > _LEAD else first


def _draw(replicas: Sequence[Replica]) -> Replica:
    weights = [each.weight for each in replicas]
    return random.choices(replicas, weights)[0]  # noqa: S311  # no secret
