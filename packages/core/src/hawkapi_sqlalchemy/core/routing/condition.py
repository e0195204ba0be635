"""Whether a replica serves: what is concluded from probes and from failed sessions."""

from __future__ import annotations

import random
from enum import StrEnum

from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy

__all__ = ["Condition", "ReplicaState"]

_PROBATION_PAUSE = 0.25
"""Seconds at most between the first good probe after an outage and the second."""


class ReplicaState(StrEnum):
    """Where a replica stands. Sessions are given to those that are up."""

    UNKNOWN = "unknown"
    """Nobody has looked yet."""
    UP = "up"
    SUSPECT = "suspect"
    """A connection to it has failed; it is looked at now."""
    DOWN = "down"
    """It does not answer, lags too far behind, or is no replica."""
    PROBATION = "probation"
    """It was down, and has been found well once."""


_AFTER_GOOD_PROBE = {
    ReplicaState.UNKNOWN: ReplicaState.UP,
    ReplicaState.UP: ReplicaState.UP,
    ReplicaState.SUSPECT: ReplicaState.UP,
    ReplicaState.DOWN: ReplicaState.PROBATION,
    ReplicaState.PROBATION: ReplicaState.UP,
}


class Condition:
    """The state of one replica.

    Args:
        policy: Says how often to look.

    Attributes:
        state: The state.
        reason: Why it does not serve; `None` while it does.
        answers: Whether it answered the last probe, and no session has failed to connect since.
    """

    def __init__(self, policy: ReplicaPolicy) -> None:
        self._policy = policy
        self._failures = 0
        self.state = ReplicaState.UNKNOWN
        self.reason: str | None = "it has not been looked at yet"
        self.answers = False

    def found_well(self) -> None:
        """A probe says that it may serve."""
        self.answers = True
        self.state = _AFTER_GOOD_PROBE[self.state]
        if self.state is ReplicaState.UP:
            self._failures = 0
            self.reason = None

    def found_unfit(self, reason: str) -> None:
        """A probe was answered, and says that it must not serve.

        Args:
            reason: Why.
        """
        self.answers = True
        self._failures = 0
        self.state, self.reason = ReplicaState.DOWN, reason

    def not_answering(self, reason: str) -> None:
        """A probe was not answered.

        Args:
            reason: What happened instead.
        """
        self.answers = False
        if self.state is ReplicaState.UP:
            # One packet may be lost, and a look costs nothing.
            self.state, self.reason = ReplicaState.SUSPECT, reason
            return
        self._failures += 1
        self.state, self.reason = ReplicaState.DOWN, reason

    def connection_failed(self, reason: str) -> None:
        """A session could not connect, or lost its connection.

        Several fail at the same moment, of which no more can be concluded than of one.

        Args:
            reason: What happened.
        """
        self.answers = False
        if self.state is ReplicaState.UP:
            self.state, self.reason = ReplicaState.SUSPECT, reason

    def pause(self) -> float:
        """Seconds until the next look, at random within limits: processes must not keep step."""
        interval = self._policy.probe_interval
        match self.state:
            case ReplicaState.UNKNOWN | ReplicaState.SUSPECT:
                return 0.0
            case ReplicaState.PROBATION:
                return min(interval, _PROBATION_PAUSE)
            case ReplicaState.DOWN if not self.answers:
                # The exponent is bounded, or the number would not fit a float one day.
                doubled = interval * 2.0 ** min(self._failures - 1, 16)
                longest = max(self._policy.max_backoff, interval)
                return min(doubled, longest) * random.uniform(0.8, 1.0)  # noqa: S311  # no secret
            case _:
                return interval * random.uniform(0.9, 1.1)  # noqa: S311  # no secret
