"""Which of several replicas gets the next session."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hawkapi_sqlalchemy.core.routing.replica import Replica

__all__ = ["choose"]

_TOLERANCE = 1.0
"""Sessions that one may have beyond its share of two replicas' before the other one is taken."""


def choose(replicas: Sequence[Replica]) -> Replica:
    """Choose by the power of two choices: two at random, by weight, and of them the less busy.

    A session beyond the share decides nothing. Without that tolerance a quiet application would
    send nearly all to the heaviest: a single session is more than the share of any light one.
    The two are never the same: one that has fallen silent, and keeps each session that it gets,
    would have all of them soon.

    Args:
        replicas: Those that may serve; at least one.
    """
    if len(replicas) == 1:
        return replicas[0]
    first = _draw(replicas)
    second = _draw([each for each in replicas if each is not first])
    both = first.in_flight + second.in_flight
    share = both * first.weight / (first.weight + second.weight)
    return second if first.in_flight - share > _TOLERANCE else first


def _draw(replicas: Sequence[Replica]) -> Replica:
    weights = [each.weight for each in replicas]
    return random.choices(replicas, weights)[0]  # noqa: S311  # no secret
