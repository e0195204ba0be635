"""One replica: looked at in the background, and told of what sessions meet there."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import aclosing

from sqlalchemy.exc import SQLAlchemyError

from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.events import address_of
from hawkapi_sqlalchemy.core.routing.condition import Condition, ReplicaState
from hawkapi_sqlalchemy.core.routing.looks import Looks
from hawkapi_sqlalchemy.core.routing.odd_errors import OddErrors
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.polling import Poller
from hawkapi_sqlalchemy.core.routing.positions import Position
from hawkapi_sqlalchemy.core.routing.primary import Primary
from hawkapi_sqlalchemy.core.routing.replica_status import ReplicaStatus
from hawkapi_sqlalchemy.core.routing.replication import (
    ReplicaView,
    has_replication,
    replication_of,
)
from hawkapi_sqlalchemy.core.routing.time_limit import within

__all__ = ["Replica"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_PATIENCE = 5
"""How many times as long a replica that is down may take to answer."""


class Replica:
    """A replica of a set.

    Args:
        engine: The replica.
        primary: What it follows.
        policy: How it is judged.

    Attributes:
        engine: The replica.
        condition: Whether it serves.
        position: Its last known position; `None` too when it may have crashed since.
        served: Sessions that were given to it.
    """

    def __init__(self, engine: Engine, primary: Primary, policy: ReplicaPolicy) -> None:
        self.engine = engine
        self.condition = Condition(policy)
        self._can_be_asked = has_replication(engine.config.dialect)
        if not self._can_be_asked:
            self.condition.found_well()
        self.position: Position | None = None
        self.served = 0
        self._primary = primary
        self._policy = policy
        self._lag_seconds: float | None = None
        self._lag_bytes: int | None = None
        self._is_astray = False
        self._odd = OddErrors(f"replica {engine.name!r}")
        self._looked_at = float("-inf")
        self._looks = Looks(self._look, self.condition.pause)
        self._poller = Poller(self._poll, policy.max_waiters)
        engine.on_loss(self._forget_position)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.engine.name!r} {self.condition.state}>"

    @property
    def is_up(self) -> bool:
        """Whether sessions are given to it."""
        return self.condition.state is ReplicaState.UP

    @property
    def is_down(self) -> bool:
        """Whether it was looked at, and found unfit."""
        return self.condition.state in {ReplicaState.DOWN, ReplicaState.PROBATION}

    @property
    def may_serve_late(self) -> bool:
        """Whether it answers, and shows some state of the primary, however old."""
        return self.condition.answers and not self._is_astray

    @property
    def weight(self) -> float:
        """Its share of the sessions, compared with that of the others."""
        return self.engine.config.weight

    @property
    def in_flight(self) -> int:
        """Connections that are in use or waited for right now."""
        return self.engine.demand

    @property
    def status(self) -> ReplicaStatus:
        """What is known of it now."""
        return ReplicaStatus(
            name=self.engine.name,
            state=self.condition.state,
            reason=self.condition.reason,
            lag_seconds=self._lag_seconds,
            lag_bytes=self._lag_bytes,
            in_flight=self.in_flight,
            served=self.served,
            waiting=len(self._poller),
            weight=self.weight,
        )

    def shows(self, position: Position) -> bool:
        """Tell whether it is known to show what a position stands for, without asking.

        Args:
            position: The position.
        """
        return self.position is not None and self.position.covers(position)

    def may_show(self, position: Position) -> bool:
        """Tell whether it can be waited for until it does.

        Args:
            position: The position.
        """
        return self.position is not None and self.position.shares_history(position)

    async def wait_for(self, position: Position, timeout: float) -> bool:
        """Wait until it shows what a position stands for.

        Args:
            position: The position.
            timeout: Seconds to wait.

        Returns:
            Whether it does.
        """
        return await self._poller.wait(position, timeout)

    def is_overdue(self, now: float) -> bool:
        """Tell whether what is known of it is old: the loop, or the whole process, stood still.

        Args:
            now: The moment, by the monotonic clock.
        """
        if not self._can_be_asked:
            return False
        longest = 3 * self._policy.probe_interval + 2 * self._policy.probe_timeout
        if self.condition.state is ReplicaState.DOWN:
            longest += self._policy.max_backoff + _PATIENCE * self._policy.probe_timeout
        return now - self._looked_at > longest

    def connection_failed(self, error: BaseException) -> None:
        """Note that a session could not connect, or lost its connection; have it looked at now.

        Args:
            error: What was raised.
        """
        if not self._can_be_asked:
            return
        self._forget_position()
        before = self.condition.state
        self.condition.connection_failed(_short(error))
        if self.condition.state is not before:
            self._changed(before)
            self._looks.hasten()

    async def look(self) -> None:
        """Look at it now; who comes while somebody looks waits for the same answer.

        Does not raise: what was found is in `condition`.
        """
        await self._looks.now()

    def begin_look(self) -> None:
        """Look at it from now on, without waiting for the outcome."""
        if self._can_be_asked:
            self._looks.begin()

    def leave(self) -> list[asyncio.Task[None]]:
        """Look no more, forget the event loop, and let nobody wait in it any longer.

        Returns:
            What runs there still, for the caller to end.
        """
        return [*self._poller.leave(), *self._looks.leave()]

    async def _look(self) -> None:
        await self._primary.look()
        before = self.condition.state
        try:
            await self._ask()
        except Exception as error:  # noqa: BLE001  # without looks it would never be taken out
            self._forget()
            self.condition.not_answering(self._odd.note(error))
        else:
            self._odd.over()
        self._looked_at = time.monotonic()
        if self.condition.state is not before:
            self._changed(before)

    async def _ask(self) -> None:
        limit = self._policy.probe_timeout
        if self.is_down:
            # Nobody waits for this look, and it needs a new connection: many round trips, which
            # take long in a process that has much to do.
            limit *= _PATIENCE
        try:
            view = await within(limit, self._view)
        except TimeoutError:
            self._forget()
            self.condition.not_answering(f"no answer within {limit:g} s")
        except (SQLAlchemyError, OSError) as error:
            self._forget()
            self.condition.not_answering(_short(error))
        else:
            self._judge(view)

    async def _view(self) -> ReplicaView:
        async with aclosing(await self.engine.prober.connect()) as connection:
            replication = replication_of(connection.dialect)
            return await replication.replica(connection, self._primary.view)

    def _judge(self, view: ReplicaView) -> None:
        self.position = view.position
        self._is_astray = view.is_astray
        self._lag_bytes = view.lag_bytes
        self._lag_seconds = view.lag_seconds
        if self._lag_seconds is None and view.position is not None:
            self._lag_seconds = self._primary.history.lag(time.monotonic(), view.position)
        unfit = view.problem or self._too_far_behind(view)
        if unfit is None:
            self.condition.found_well()
        else:
            self.condition.found_unfit(unfit)

    def _too_far_behind(self, view: ReplicaView) -> str | None:
        seconds, size = self._lag_seconds, self._lag_bytes
        if self.position is None or (seconds is None and size is None):
            return "its lag is unknown"
        is_late = seconds is None or seconds > self._policy.max_lag_seconds
        # One that receives nothing will not catch up, however little it lacks now. That the
        # primary itself is gone is no reason to lose its replicas too.
        is_cut_off = view.receiving is False and self._primary.answers
        is_far = size is None or is_cut_off or size > self._policy.max_lag_bytes
        if not (is_late and is_far):
            return None
        behind = [] if seconds is None else [f"{seconds:.1f} s"]
        behind += [] if size is None else [f"{size} bytes"]
        return f"it is {' and '.join(behind)} behind the primary"

    def _forget(self) -> None:
        self._lag_bytes = self._lag_seconds = None
        self._forget_position()

    def _forget_position(self) -> None:
        """After a crash a standby may show less than it did before, until it has caught up."""
        self.position = None

    async def _poll(self) -> Position | None:
        known = self.position
        if known is None:
            return None
        try:
            async with asyncio.timeout(self._policy.probe_timeout):
                async with aclosing(await self.engine.prober.connect()) as connection:
                    replication = replication_of(connection.dialect)
                    self.position = await replication.replayed(connection, known)
        except (SQLAlchemyError, OSError) as error:
            self.connection_failed(error)
            return None
        except Exception as error:  # noqa: BLE001  # who waits has other servers to read from
            self._odd.note(error)
            self.connection_failed(error)
            return None
        return self.position

    def _changed(self, before: ReplicaState) -> None:
        state, name = self.condition.state, self.engine.name
        where = address_of(self.engine.config.sqlalchemy_url)
        if state is ReplicaState.UP:
            # Also at the beginning, from unknown.
            logger.info("replica %r at %s serves", name, where)
            return
        if before is ReplicaState.UP:
            # What the pool holds may lead to a server that is gone.
            self.engine.distrust()
            logger.warning("replica %r at %s is taken out: %s", name, where, self.condition.reason)
        elif state is ReplicaState.DOWN and before is not ReplicaState.PROBATION:
            logger.warning("replica %r at %s is down: %s", name, where, self.condition.reason)


def _short(error: BaseException) -> str:
    # The further lines of a driver's error hold the statement and its parameters.
    return str(getattr(error, "reason", error)).partition("\n")[0] or type(error).__name__
