"""The pools of one database: who writes has one, who only reads another, looks a third."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from hawkapi_sqlalchemy.core.bind import PROBING_POOL, Bind
from hawkapi_sqlalchemy.core.config import DatabaseConfig
from hawkapi_sqlalchemy.core.dialects import DialectPolicy
from hawkapi_sqlalchemy.core.events import CommitObserver, listen_to_reads, listen_to_transactions
from hawkapi_sqlalchemy.core.loops import run_elsewhere

__all__ = ["Pools"]

_SECOND_LOOK = 2.0
"""Seconds from a primary's demotion to the second replacement of the readers' connections."""


class Pools:
    """Makes each pool when it is needed; the first at once.

    Args:
        config: The database.
        name: Its name, as errors and the pools report it.
        policy: How connections are opened and begun.

    Attributes:
        main: Who may write uses it, and snapshots do.
        observers: Who is told of each COMMIT of a session that may write.
        on_loss: Called when a connection is found to be lost, if it is set.
    """

    def __init__(self, config: DatabaseConfig, name: str, policy: DialectPolicy) -> None:
        self._config = config
        self._name = name
        self._policy = policy
        self._reading: Bind | None = None
        self._probing: Bind | None = None
        self._second_look: asyncio.TimerHandle | None = None
        self.observers: list[CommitObserver] = []
        self.on_loss: Callable[[], None] | None = None
        this = weakref.ref(self)

        def lost() -> None:
            pools = this()
            if pools is not None and pools.on_loss is not None:
                pools.on_loss()

        self._lost = lost
        self.main = Bind(config, name, policy, on_loss=lost)
        listen_to_transactions(
            self.main.engine.sync_engine,
            name,
            policy,
            on_demotion=lambda: None if (pools := this()) is None else pools.distrust_readers(),
            observers=self.observers,
        )

    @property
    def reading(self) -> Bind | None:
        """The pool of the read-only sessions; `None` where they use `main`."""
        if self._reading is None and self._policy.can_autocommit():
            self._reading = self._autocommitting(self._name, reading=True)
            listen_to_reads(self._reading.engine.sync_engine, self._name)
        return self._reading

    @property
    def probing(self) -> Bind:
        """The pool of looks at the server."""
        if self._probing is None:
            self._probing = self._autocommitting(
                f"{self._name} probes",
                reading=self._policy.can_autocommit(),
                curt=True,
                **PROBING_POOL,
            )
        return self._probing

    def _autocommitting(self, name: str, **arguments: Any) -> Bind:
        return Bind(
            self._config,
            name,
            self._policy,
            on_loss=self._lost,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            **arguments,
        )

    @property
    def of_sessions(self) -> list[Bind]:
        """Those of sessions that exist by now."""
        return [self.main] if self._reading is None else [self.main, self._reading]

    @property
    def all(self) -> list[Bind]:
        """All that exist by now."""
        return self.of_sessions if self._probing is None else [*self.of_sessions, self._probing]

    def distrust(self) -> None:
        """Replace every connection that is open now, each before its next use."""
        for bind in self.all:
            bind.distrust()

    def distrust_readers(self) -> None:
        """Have who only reads or looks connect anew: the server is primary no more.

        Once more some seconds later: in the moment of a switch-over the old primary may still let
        in who asks for one that takes writes, and afterwards nobody would tell these connections.
        """
        self._distrust_readers()
        if self._second_look is not None:
            self._second_look.cancel()
        loop = asyncio.get_running_loop()
        self._second_look = loop.call_later(_SECOND_LOOK, self._distrust_readers)

    def _distrust_readers(self) -> None:
        for bind in (self._reading, self._probing):
            if bind is not None:
                bind.distrust()

    def leave_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the pools, and close their connections without a word to the server.

        Args:
            loop: The loop of the connections. It is not running.
        """
        left = [connection for bind in self.all for connection in bind.leave_loop()]
        self._policy.loop_changed()
        if not self._policy.loop_bound or loop.is_closed():
            self._abandon(left)
            return

        async def close_all() -> None:
            self._abandon(left)
            await asyncio.sleep(0)

        # A loop that stands still but is open (a synchronous test client's) can be run elsewhere
        # for the moment that its sockets need to close.
        run_elsewhere(loop, close_all())

    def _abandon(self, connections: Iterable[Any]) -> None:
        for connection in connections:
            self._policy.abandon(connection)

    async def dispose(self) -> None:
        """Close every idle connection; those in use are closed when they come back."""
        if self._second_look is not None:
            self._second_look.cancel()
        async with contextlib.AsyncExitStack() as stack:
            # Each in any case, whichever of them fails.
            for bind in self.all:
                stack.push_async_callback(bind.dispose)
