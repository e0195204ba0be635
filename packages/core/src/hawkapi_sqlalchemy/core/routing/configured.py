"""A Database's replicas, as they are registered and configured now."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.names import PRIMARY, is_replica
from hawkapi_sqlalchemy.core.routing.capture import Capture
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.reads import RoutedReads
from hawkapi_sqlalchemy.core.routing.replica_set import ReplicaSet

__all__ = ["ReplicaRouting"]

_USUAL_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306}


class ReplicaRouting:
    """Makes the replica set of a Database, and makes it anew when other engines are registered.

    Args:
        engines: The Database's, by name.
    """

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self._known: dict[str, Engine] | None = None
        self._policy = ReplicaPolicy()
        self._wait = 0.0
        self._tokens = False
        self._reads: RoutedReads | None = None
        self._observed: tuple[Engine, Capture] | None = None
        self._retired: list[ReplicaSet] = []

    def configure(self, policy: ReplicaPolicy, *, tokens: bool, wait: float) -> None:
        """Use the replicas otherwise from now on.

        Args:
            policy: When a replica serves, and what happens when none does.
            tokens: Find out after each COMMIT of a request where it has led the primary.
            wait: Seconds that a session may wait for a replica to catch up.
        """
        self._policy, self._tokens, self._wait = policy, tokens, wait
        # At once: commits may come before the first session of a replica.
        self._make()

    def refresh(self) -> None:
        """Make the set anew, if other engines are registered than were before."""
        # A comparison of identities, in C.
        if self._known != self._engines:
            self._make()

    @property
    def reads(self) -> RoutedReads | None:
        """The sessions of the replicas; `None` without any that is not the primary itself."""
        # Whoever replaces engines tells nobody.
        self.refresh()
        return self._reads

    @property
    def checked_out(self) -> int:
        """Connections in use right now that no registered engine counts."""
        return sum(each.checked_out for each in self._sets)

    async def dispose(self) -> None:
        """Look at the replicas no more, and close what the sets have opened for themselves.

        Those of earlier are among them: sessions may have been on their connections still.
        """
        async with contextlib.AsyncExitStack() as stack:
            # Each in any case, whichever of them fails.
            for each in self._sets:
                stack.push_async_callback(each.dispose)
            self._retired.clear()

    @property
    def _sets(self) -> list[ReplicaSet]:
        return [*self._retired] if self._reads is None else [*self._retired, self._reads.replicas]

    def _make(self) -> None:
        self._known = dict(self._engines)
        if self._reads is not None:
            before = self._reads.replicas
            before.stop()
            if before.has_stood_in:
                self._retired.append(before)
            self._reads = None
        if self._observed is not None:
            engine, capture = self._observed
            engine.forget_observer(capture)
            self._observed = None
        primary = self._engines.get(PRIMARY)
        if primary is None:
            return
        replicas = [
            engine
            for name, engine in self._engines.items()
            if is_replica(name) and not _same_place(engine.config, primary.config)
        ]
        if not replicas:
            return
        replica_set = ReplicaSet(primary, replicas, policy=self._policy, wait=self._wait)
        self._reads = RoutedReads(replica_set)
        if self._tokens:
            capture = Capture(replica_set)
            primary.observe_commits(capture)
            self._observed = primary, capture


def _same_place(one: DatabaseConfig, other: DatabaseConfig) -> bool:
    """Tell whether two configurations lead to the same server and database.

    A replica that is configured so, on a developer's machine or in a test, is the primary.
    """
    return _place(one) == _place(other)


def _place(config: DatabaseConfig) -> tuple[object, ...]:
    url = config.sqlalchemy_url
    port = url.port or _USUAL_PORTS.get(config.dialect)
    return url.host, port, url.database, url.query.get("host"), url.query.get("port")
