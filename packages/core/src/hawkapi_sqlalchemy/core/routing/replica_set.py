"""The replicas of one primary, and which of them a session reads from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.errors import ReplicasUnavailableError
from hawkapi_sqlalchemy.core.loops import leave_tasks
from hawkapi_sqlalchemy.core.names import REPLICA
from hawkapi_sqlalchemy.core.routing.choice import choose
from hawkapi_sqlalchemy.core.routing.freshness import Requirement
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.positions import Position
from hawkapi_sqlalchemy.core.routing.primary import Primary
from hawkapi_sqlalchemy.core.routing.replica import Replica
from hawkapi_sqlalchemy.core.routing.replica_status import ReplicaStatus

__all__ = ["ReplicaSet"]

_END = 5.0
"""Seconds at most that looks under way may take to end."""


class ReplicaSet:
    """The replicas of one primary.

    It looks at them in the background, from the first session on, in the event loop of that
    session; `stop` ends that. Where a loop runs only now and then, in scripts and tests, the
    session that finds its knowledge old waits for one look.

    Args:
        primary: The primary.
        replicas: The replicas.
        policy: How they are judged and used.
        wait: Seconds that a session may wait for a replica to catch up with what its client has
            written.

    Attributes:
        name: The name that its sessions carry.
        primary: The primary.
        engines: The replicas.
    """

    name = REPLICA

    def __init__(
        self,
        primary: Engine,
        replicas: Sequence[Engine],
        *,
        policy: ReplicaPolicy,
        wait: float,
    ) -> None:
        self.primary = primary
        self.engines = tuple(replicas)
        self._wait = wait
        self._policy = policy
        self._primary = Primary(primary, policy)
        self._replicas = [Replica(engine, self._primary, policy) for engine in replicas]
        self._loop: asyncio.AbstractEventLoop | None = None
        self._spill: Engine | None = None

    @property
    def status(self) -> Mapping[str, ReplicaStatus]:
        """What is known of each replica, by its name."""
        return {each.engine.name: each.status for each in self._replicas}

    @property
    def cluster(self) -> str:
        """What tokens call the primary."""
        return self.primary.name

    @property
    def has_position(self) -> bool:
        """Whether any position of the primary is known."""
        return self._primary.position is not None

    def reached(self, position: Position) -> None:
        """Note where a COMMIT has led the primary.

        Args:
            position: The position.
        """
        self._primary.reached(position)

    @property
    def checked_out(self) -> int:
        """Connections in use right now that no replica's engine and not the primary's counts."""
        return 0 if self._spill is None else self._spill.checked_out

    @property
    def has_stood_in(self) -> bool:
        """Whether the primary has stood in for the replicas; `dispose` then closes connections."""
        return self._spill is not None

    def replica_of(self, engine: Engine) -> Replica | None:
        """Answer the replica that an engine is."""
        return next((each for each in self._replicas if each.engine is engine), None)

    def count(self, engine: Engine) -> None:
        """Note that a session reads from a database from now on.

        Args:
            engine: The database; a replica, or the primary in place of one.
        """
        replica = self.replica_of(engine)
        if replica is not None:
            replica.served += 1

    def start(self) -> None:
        """Look at the replicas in the background, from now on, in the running loop.

        Raises:
            RuntimeError: They are in use by another event loop that is still running.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None:
            if self._loop.is_running():
                raise RuntimeError(
                    f"the {self.name}s are in use by another running event loop; give each loop a "
                    "Database of its own"
                )
            leave_tasks(self._leave())
        self._loop = loop
        for replica in self._replicas:
            replica.begin_look()

    def stop(self) -> list[asyncio.Task[None]]:
        """Look at them no more, until the next session.

        Returns:
            What is ending now, in the running loop.
        """
        loop, self._loop = self._loop, None
        left = self._leave()
        if loop is None or loop is not _running_loop():
            leave_tasks(left)
            return []
        return [task for task in left if task.cancel()]

    def _leave(self) -> list[asyncio.Task[None]]:
        return [task for part in (self._primary, *self._replicas) for task in part.leave()]

    async def dispose(self) -> None:
        """Stop, and close the connections on which the primary has stood in for the replicas."""
        if ending := self.stop():
            await asyncio.wait(ending, timeout=_END)
        if self._spill is not None:
            await self._spill.dispose()

    def engine_now(
        self, requirement: Requirement | None, tried: Collection[Engine]
    ) -> Engine | None:
        """Choose who serves a session, if that can be told without asking anybody.

        Args:
            requirement: What the session's client has to see.
            tried: Those that have failed it.
        """
        now = time.monotonic()
        if asyncio.get_running_loop() is not self._loop:
            self.start()
            return None
        up: list[Replica] = []
        for replica in self._replicas:
            if replica.is_overdue(now):
                return None
            if replica.is_up and replica.engine not in tried:
                up.append(replica)
        if requirement is None:
            if not up:
                return None
        elif (position := requirement.position) is None:
            return self.primary
        else:
            behind = bool(up)
            up = [each for each in up if each.shows(position)]
            if not up:
                is_hopeless = not self._primary.can_have(position, requirement.issued_at)
                return self.primary if behind and is_hopeless else None
        return choose(up).engine

    async def engine(self, requirement: Requirement | None, tried: Collection[Engine]) -> Engine:
        """Choose who serves a session, and wait where that is necessary.

        Args:
            requirement: What the session's client has to see.
            tried: Those that have failed it.

        Raises:
            ReplicasUnavailableError: No replica serves, and the policy says that the primary does
                not stand in.
        """
        self.start()
        await self._look_where_overdue()
        engine = self.engine_now(requirement, tried)
        if engine is not None:
            return engine
        position = requirement.position if requirement is not None else None
        up = [each for each in self._replicas if each.is_up and each.engine not in tried]
        if not up:
            return await self._without_replicas(position, tried)
        if position is None:
            # They came up in this moment.
            return choose(up).engine
        return await self._caught_up(up, position)

    def prepare(self, access: Access) -> None:
        """Make what sessions will use, so that it is known beforehand; opens nothing."""
        for engine in (*self.engines, self.primary):
            engine.prepare(access)

    async def look(self) -> None:
        """Look at all that nobody has looked at of late, and wait for what is found."""
        self.start()
        await self._look_where_overdue()

    async def _look_where_overdue(self) -> None:
        now = time.monotonic()
        overdue = [each for each in self._replicas if each.is_overdue(now)]
        if overdue:
            await asyncio.gather(*(each.look() for each in overdue))

    async def _caught_up(self, up: Sequence[Replica], position: Position) -> Engine:
        candidates = [each for each in up if each.may_show(position)]
        if candidates:
            replica = choose(candidates)
            if await replica.wait_for(position, self._wait):
                return replica.engine
        others = [each for each in up if each.is_up and each.shows(position)]
        return choose(others).engine if others else self.primary

    async def _without_replicas(
        self, position: Position | None, tried: Collection[Engine]
    ) -> Engine:
        policy = self._policy.when_all_down
        if policy == "primary":
            return self._spilling
        # Whether one that has just failed a session does serve is worth a look.
        suspects = [each for each in self._replicas if not each.is_down]
        await asyncio.gather(*(each.look() for each in suspects))
        answering = [
            each
            for each in self._replicas
            if (each.is_up or (policy == "best_effort" and each.may_serve_late))
            and (position is None or each.shows(position))
        ]
        others = [each for each in answering if each.engine not in tried]
        if answering:
            return choose(others or answering).engine
        if policy == "best_effort" or any(each.is_up for each in self._replicas):
            return self._spilling
        raise ReplicasUnavailableError(
            {name: each.reason or "" for name, each in self.status.items()}
        )

    @property
    def _spilling(self) -> Engine:
        """The primary, on a pool of its own: a bound to what the replicas' sessions take."""
        if self._spill is None:
            config = self.primary.config
            size = self._policy.max_spill or max(config.pool_size, 1)
            # Its sessions are made read-only like those of other engines. As the configuration's
            # own setting, known from the start, it would be no server that takes writes to a driver
            # that is told to find one.
            self._spill = Engine(
                replace(config, pool_size=size, max_overflow=0),
                name=f"{self.primary.name} for {self.name}s",
            )
        return self._spill


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
