"""Whose turn it is on the one connection that a test's sessions share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hawkapi_sqlalchemy.pytest.isolation.statements import Statement
from hawkapi_sqlalchemy.pytest.isolation.units import Unit

__all__ = ["Call", "Turns"]

__tracebackhide__ = True
"""An error of a statement is shown where it was sent from."""

_PATIENCE = 1.0
"""Seconds without any statement after which a transaction that waits begins inside the others."""


@dataclass(eq=False, slots=True)
class Call:
    """One statement on its way.

    Args:
        owner: Whose it is, for messages.
        statement: What it does.
        execute: Runs it on the adapted connection, in SQLAlchemy's greenlet.
        read_only: The server must refuse it if it writes.
        inside: The transactions that are open around its caller.
        unit: The caller's own transaction, if it has begun; set when it begins with this statement.
        alone: It is committed by itself.
        is_reset: It changes what SQLAlchemy changes back by itself.

    Attributes:
        waits: It may have to wait for others' transactions to end.
        is_interrupted: Its caller waits for it no more.
        running: It, while it runs on the connection.
    """

    owner: str
    statement: Statement
    execute: Callable[[Any], Any]
    read_only: bool
    inside: Sequence[Unit]
    unit: Unit | None
    alone: bool
    is_reset: bool = False
    waits: bool = True
    is_interrupted: bool = False
    running: asyncio.Future[Any] | None = field(default=None)


class Turns:
    """Lets statements run one after another, and transactions begin when none excludes them.

    Attributes:
        lock: Held by whoever's turn it is.
    """

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._changed = asyncio.Event()
        self._moves = 0

    async def take(self, call: Call, blockers: Callable[[], Sequence[Unit]]) -> None:
        """Wait until nobody else's statement runs, and no transaction that excludes this one.

        The lock is held then, and is to be released by the caller.

        Args:
            call: The statement.
            blockers: Tells which open transactions exclude it.

        Raises:
            asyncio.CancelledError: Its caller waits for it no more.
        """
        while True:
            await self.lock.acquire()
            if call.is_interrupted:
                self.lock.release()
                raise asyncio.CancelledError
            moves = self._moves
            begins = call.unit is None and call.waits
            if not begins or not blockers():
                return
            changed = self._changed
            self.lock.release()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await changed.wait()
            except TimeoutError:
                if moves == self._moves:
                    # Who has it open may be waiting for this one, over a socket for instance.
                    call.waits = False

    def give_up(self, call: Call) -> None:
        """End a statement's wait, if it is waiting for others to end."""
        call.is_interrupted = True
        self._wake()

    def move(self) -> None:
        """Note that something has happened: those who wait look again."""
        self._moves += 1
        self._wake()

    def _wake(self) -> None:
        # Who looks and has to wait on must not find an event that is set: it would never yield.
        self._changed.set()
        self._changed = asyncio.Event()
