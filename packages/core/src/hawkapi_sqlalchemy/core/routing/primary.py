"""What a replica set knows of its primary."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.routing.lag import PrimaryHistory
from hawkapi_sqlalchemy.core.routing.looks import Looks
from hawkapi_sqlalchemy.core.routing.odd_errors import OddErrors
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.positions import Position
from hawkapi_sqlalchemy.core.routing.replication import PrimaryView, replication_of
from hawkapi_sqlalchemy.core.routing.time_limit import within

__all__ = ["Primary"]

_CLOCKS_APART = 2.0
"""Seconds by which the clocks of two application servers may differ, and a token's is rounded."""


@dataclass(frozen=True, slots=True)
class _Look:
    view: PrimaryView
    at: float


class Primary:
    """The primary's position and role, as last seen.

    While it does not answer, what it told last stands: a replica that has all of that lags behind
    nothing that anybody could have read.

    Args:
        engine: The primary.
        policy: Says how often to look.

    Attributes:
        engine: The primary.
        history: Its positions of late.
        answers: Whether it answered the last look, as a primary.
    """

    def __init__(self, engine: Engine, policy: ReplicaPolicy) -> None:
        self.engine = engine
        self.history = PrimaryHistory()
        self._policy = policy
        self._look: _Look | None = None
        self._tried_at = float("-inf")
        self._looks = Looks(self._ask)
        self._reached: Position | None = None
        self._odd = OddErrors(f"database {engine.name!r}")
        self.answers = False

    @property
    def view(self) -> PrimaryView | None:
        """What it told last, if anything."""
        return self._look.view if self._look is not None else None

    @property
    def position(self) -> Position | None:
        """The latest position that is known of it."""
        return self._reached

    def reached(self, position: Position) -> None:
        """Note a position that one of its COMMITs has led to.

        Args:
            position: The position.
        """
        self._reached = position if self._reached is None else self._reached.merged(position)

    def can_have(self, position: Position, issued_at: float) -> bool:
        """Tell whether it may have what a position stands for.

        A token leads further than what is known of the primary, if it is younger than that; but
        never into another history: what a promotion has lost, waiting does not bring back.

        Args:
            position: A token's.
            issued_at: When the token was issued, in seconds since the epoch.
        """
        known = self._reached
        if known is None or self._look is None:
            return True
        if known.covers(position):
            return True
        return known.shares_history(position) and issued_at + _CLOCKS_APART >= self._look.at

    async def look(self) -> None:
        """Ask it, unless that was done a moment ago, for another replica.

        Does not raise: one that does not answer is left as it was seen last.
        """
        since = time.monotonic() - self._tried_at
        if self._looks.is_under_way or since >= self._policy.probe_interval / 2:
            await self._looks.now()

    def leave(self) -> list[asyncio.Task[None]]:
        """Forget the event loop.

        Returns:
            What runs there still, for the caller to end.
        """
        return self._looks.leave()

    async def _ask(self) -> None:
        self._tried_at = time.monotonic()
        try:
            view = await within(self._policy.probe_timeout, self._view)
        except (SQLAlchemyError, OSError):
            self.answers = False
            self._odd.over()
            return
        except Exception as error:  # noqa: BLE001  # the replicas' looks go on, whatever it is
            self.answers = False
            self._odd.note(error)
            return
        self._odd.over()
        self.answers = view.is_primary
        if not view.is_primary:
            # The connection leads to a server that was the primary.
            self.engine.distrust()
            return
        self._look = _Look(view, time.time())
        if view.position is not None:
            # Not merged: after a promotion it may have gone back.
            self._reached = view.position
            self.history.add(time.monotonic(), view.position)

    async def _view(self) -> PrimaryView:
        async with aclosing(await self.engine.prober.connect()) as connection:
            return await replication_of(connection.dialect).primary(connection)
