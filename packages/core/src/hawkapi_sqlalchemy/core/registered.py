"""What is registered: engines by name, and which of them are replicas."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.engine import Engine, create_engine
from hawkapi_sqlalchemy.core.errors import (
    ConfigurationError,
    UnknownDatabaseError,
    UnknownDatabaseWarning,
)
from hawkapi_sqlalchemy.core.names import PRIMARY, REPLICA, is_replica
from hawkapi_sqlalchemy.core.routing.configured import ReplicaRouting
from hawkapi_sqlalchemy.core.routing.policy import ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.replica_status import ReplicaStatus
from hawkapi_sqlalchemy.core.sources import SessionSource

__all__ = ["Registered"]


class Registered:
    """Engines by name.

    Attributes:
        engines: The registered engines, by name, in the order in which they were added.
    """

    def __init__(self) -> None:
        self.engines: dict[str, Engine] = {}
        self._replication = ReplicaRouting(self.engines)

    @property
    def replicas(self) -> Mapping[str, ReplicaStatus]:
        """Each replica's state, lag and load as this process knows them, by its engine's name.

        Reading them asks nobody. They are looked at from the application's start-up on, or from
        the first session of a replica. Replicas at the primary's own address are not among them.
        """
        reads = self._replication.reads
        return {} if reads is None else reads.replicas.status

    def use_replicas(
        self, policy: ReplicaPolicy | None = None, *, tokens: bool = False, wait: float = 0.0
    ) -> None:
        """Say how replicas are used; before the first session.

        Args:
            policy: When a replica serves, and what happens when none does.
            tokens: Find out after each COMMIT of a request where it has led the primary.
            wait: Seconds that a session may wait for a replica to catch up with what its client has
                written.
        """
        self._replication.configure(policy or ReplicaPolicy(), tokens=tokens, wait=wait)

    async def start_replicas(self) -> None:
        """Look at the replicas from now on, and not only from their first session on.

        Returns once each has been looked at, whatever was found.
        """
        reads = self._replication.reads
        if reads is not None:
            await reads.replicas.look()

    def add(self, name: str, config: DatabaseConfig) -> Engine:
        """Register a database. No connection is opened yet.

        Args:
            name: Its name. `"primary"` is the default of every session, `"replica"` is what
                read-only sessions use where there is one.
            config: The database.

        Returns:
            Its engine.

        Raises:
            ConfigurationError: The name is taken, the value is not a `DatabaseConfig`, or the
                driver is not installed.
        """
        if name in self.engines:
            raise ConfigurationError(f"a database is already registered as {name!r}")
        if not isinstance(config, DatabaseConfig):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers may be untyped
            raise ConfigurationError(
                f"database {name!r} needs a DatabaseConfig, not {type(config).__name__}"
            )
        engine = create_engine(config, name=name)
        self.engines[name] = engine
        # At once: commits may come before the first session of a replica.
        self._replication.refresh()
        return engine

    def get(self, name: str = PRIMARY) -> Engine:
        """Answer an engine by name.

        Args:
            name: The database's name. Default `"primary"`.

        Returns:
            Its engine; of several replicas the first one's; for a name that is not registered the
            primary's, with an `UnknownDatabaseWarning`.

        Raises:
            UnknownDatabaseError: Neither the name nor a primary is registered.
        """
        engine = self.engines.get(name)
        if engine is not None:
            return engine
        if name == REPLICA and (several := self._replicas):
            return several[0]
        primary = self.engines.get(PRIMARY)
        if primary is None:
            raise UnknownDatabaseError(name, list(self.engines))
        if name != REPLICA:
            warnings.warn(
                f"no database is registered as {name!r}; answered with {PRIMARY!r}",
                UnknownDatabaseWarning,
                stacklevel=2,
            )
        return primary

    def check_writable(self, name: str) -> None:
        """Check that a session that may be a writing one can be opened under a name.

        Args:
            name: The database's name.

        Raises:
            UnknownDatabaseError: The name is not registered.
        """
        if name not in self.engines and not (name == REPLICA and self._replicas):
            raise UnknownDatabaseError(name, list(self.engines))

    @property
    def _replicas(self) -> list[Engine]:
        return [engine for name, engine in self.engines.items() if is_replica(name)]

    def resolve(self, name: str, access: Access) -> tuple[SessionSource, Access]:
        """Answer what makes the sessions of a name, and how they may be used.

        Args:
            name: The name asked for.
            access: The access asked for.

        Returns:
            An engine, or the replicas; and the access asked for; for a replica, a `read_only`
            database, and a name that falls back to the primary, a read-only one in any case.

        Raises:
            UnknownDatabaseError: A writing session was asked for under an unknown name.
        """
        if name == REPLICA and (reads := self._replication.reads) is not None:
            return reads, access if access.is_read_only else Access.READ
        engine = self.engines.get(name)
        if engine is None:
            if access is Access.WRITE:
                self.check_writable(name)
            # What it falls back to was not asked for, and is not written to.
            engine, only_read = self.get(name), True
        else:
            only_read = engine.only_read
        if only_read and not access.is_read_only:
            access = Access.READ
        return engine, access
