"""One replica: looked at in the background, and told of what sessions meet there."""

from __future__ import annotations

import asyncio
import logging
import time
import weakref
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.events import address_of
from hawkapi_sqlalchemy.core.routing.condition import Condition, ReplicaState
from hawkapi_sqlalchemy.core.routing.odd_errors import OddErrors
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.polling import Poller
from hawkapi_sqlalchemy.core.routing.positions import Position
from hawkapi_sqlalchemy.core.routing.primary import Primary
from hawkapi_sqlalchemy.core.routing.replication import (
    ReplicaView,
    has_replication,
    replication_of,
)
from hawkapi_sqlalchemy.core.routing.time_limit import within

__all__ = ["Replica", "ReplicaStatus"]

logger = logging.getLogger("hawkapi_sqlalchemy")


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """A replica at one moment, for health reports and metrics.

    Attributes:
        name: Its name in `Database.engines`.
        state: Whether it serves; sessions are given to those that are `up`.
        reason: Why it does not serve; `None` while it does.
        lag_seconds: Seconds for which it has not shown what the primary has; `None` if unknown.
        lag_bytes: Bytes of the primary's log that it has not replayed; `None` if unknown, and
            always for MariaDB and MySQL.
        in_flight: Connections that are in use or waited for right now, in this process.
        served: Sessions that were given to it so far, in this process.
        waiting: Sessions that wait for it to catch up right now, in this process.
        weight: Its share of the sessions, compared with that of the others.
    """

    name: str
    state: ReplicaState
    reason: str | None
    lag_seconds: float | None
    lag_bytes: int | None
    in_flight: int
    served: int
    waiting: int
    weight: float


class Replica:
    """A replica of a set.

    Args:
        engine: The replica.
        primary: What it follows.
        policy: How it is judged.

    Attributes:
        engine: The replica.
        condition: Whether it serves.
        position: Its last known position.
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
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._poller = Poller(self._poll, policy.max_waiters)

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
            longest += self._policy.max_backoff
        return now - self._looked_at > longest

    def connection_failed(self, error: BaseException) -> None:
        """Note that a session could not connect, or lost its connection; have it looked at now.

        Args:
            error: What was raised.
        """
        if not self._can_be_asked:
            return
        before = self.condition.state
        self.condition.connection_failed(_short(error))
        if self.condition.state is not before:
            self._changed(before)
            if self._timer is not None:
                self.schedule()

    def schedule(self) -> None:
        """Have it looked at in the background from now on, in the running loop."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        # The loop must not keep alive what everybody else has dropped.
        self._timer = loop.call_later(self.condition.pause(), _begin, weakref.ref[Replica](self))

    async def look(self) -> None:
        """Look at it now; who comes while somebody looks waits for the same answer.

        Does not raise: what was found is in `condition`.
        """
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())
        await asyncio.shield(self._looking)

    def begin_look(self) -> None:
        """Look at it, without waiting for the outcome."""
        if self._looking is None and self._can_be_asked:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    def forget_loop(self) -> None:
        """Forget what runs in an event loop that is gone."""
        if self._timer is not None:
            self._timer.cancel()
        self._looking = self._timer = None
        self._poller.forget_loop()

    def stop(self) -> list[asyncio.Task[None]]:
        """Look no more, and let nobody wait any longer.

        Returns:
            What is ending now.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ending = self._poller.stop()
        if self._looking is not None:
            # In a loop that is closed it has stopped already, and cannot be told.
            if not self._looking.get_loop().is_closed():
                self._looking.cancel()
                ending.append(self._looking)
            self._looking = None
        return ending

    async def _look(self) -> None:
        try:
            await self._primary.look()
            before = self.condition.state
            try:
                await self._ask()
            except Exception as error:  # noqa: BLE001  # without looks it would never be taken out
                self._forget_lag()
                self.condition.not_answering(self._odd.note(error))
            else:
                self._odd.over()
            self._looked_at = time.monotonic()
            if self.condition.state is not before:
                self._changed(before)
        finally:
            self._looking = None
        self.schedule()

    async def _ask(self) -> None:
        try:
            view = await within(self._policy.probe_timeout, self._view())
        except TimeoutError:
            self._forget_lag()
            self.condition.not_answering(f"no answer within {self._policy.probe_timeout:g} s")
        except (SQLAlchemyError, OSError) as error:
            self._forget_lag()
            self.condition.not_answering(_short(error))
        else:
            self._judge(view)

    async def _view(self) -> ReplicaView:
        async with self.engine.prober.connect() as connection:
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

    def _forget_lag(self) -> None:
        self._lag_bytes = self._lag_seconds = None

    async def _poll(self) -> Position | None:
        if self.position is None:
            return None
        try:
            async with asyncio.timeout(self._policy.probe_timeout):
                async with self.engine.prober.connect() as connection:
                    replication = replication_of(connection.dialect)
                    self.position = await replication.replayed(connection, self.position)
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


def _begin(reference: weakref.ref[Replica]) -> None:
    replica = reference()
    if replica is not None:
        replica.begin_look()


def _short(error: BaseException) -> str:
    # The further lines of a driver's error hold the statement and its parameters.
    return str(getattr(error, "reason", error)).partition("\n")[0] or type(error).__name__
