"""Waiting until a replica has caught up: one poll serves all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from hawkapi_sqlalchemy.core.loops import background
from hawkapi_sqlalchemy.core.routing.positions import Position

__all__ = ["Poller"]

_PAUSES = (0.001, 0.002, 0.004, 0.008)
"""Seconds between polls; the last is repeated. Who comes meanwhile is not kept waiting for them."""


class Poller:
    """Those who wait for one replica.

    Args:
        poll: Asks for the replica's position; `None` ends all waiting.
        limit: How many may wait.
    """

    def __init__(self, poll: Callable[[], Awaitable[Position | None]], limit: int) -> None:
        self._poll = poll
        self._limit = limit
        self._waiting: dict[asyncio.Future[bool], Position] = {}
        self._task: asyncio.Task[None] | None = None
        self._comes = asyncio.Event()
        self._reached: Position | None = None
        self._stuck_at: Position | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self, position: Position, timeout: float) -> bool:
        """Wait until the replica shows what a position stands for.

        Args:
            position: The position.
            timeout: Seconds to wait.

        Returns:
            Whether it does. `False` at once, or after one poll, if too many wait already, the
            replica does not answer, or it has stood still since somebody waited in vain.
        """
        if len(self._waiting) >= self._limit:
            return False
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        waiting = self._waiting
        waiting[turn] = position
        self._comes.set()
        if self._task is None or self._task.done():
            self._task = background(self._run)
        timer = loop.call_later(timeout, self._give_up, turn)
        try:
            return await turn
        finally:
            timer.cancel()
            waiting.pop(turn, None)

    def leave(self) -> list[asyncio.Task[None]]:
        """Forget the event loop, and those who wait in it.

        Returns:
            What runs there still, for the caller to end: with it all waiting ends there.
        """
        task, self._task = self._task, None
        self._waiting, self._comes = {}, asyncio.Event()
        return [] if task is None else [task]

    async def _run(self) -> None:
        polls = 0
        waiting = self._waiting
        self._comes = comes = asyncio.Event()
        # Where it was when somebody else waited says nothing about whether it moves now.
        self._reached = None
        try:
            while waiting:
                reached = await self._poll()
                if reached is None:
                    return
                self._serve(waiting, reached)
                try:
                    async with asyncio.timeout(_PAUSES[min(polls, len(_PAUSES) - 1)]):
                        await comes.wait()
                except TimeoutError:
                    polls += 1
                else:
                    comes.clear()
                    polls = 0
        finally:
            for turn in list(waiting):
                _settle(turn, has_come=False)

    def _serve(self, waiting: Mapping[asyncio.Future[bool], Position], reached: Position) -> None:
        stands_still = reached == self._stuck_at
        if not stands_still:
            self._stuck_at = None
        self._reached = reached
        for turn, position in list(waiting.items()):
            if reached.covers(position):
                _settle(turn, has_come=True)
            elif stands_still:
                _settle(turn, has_come=False)

    def _give_up(self, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            self._stuck_at = self._reached
            turn.set_result(False)


def _settle(turn: asyncio.Future[bool], *, has_come: bool) -> None:
    if not turn.done():
        turn.set_result(has_come)
