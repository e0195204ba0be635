"""Looks at a server in the background: one at a time, the next some time after the last."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from hawkapi_sqlalchemy.core.loops import background

__all__ = ["Looks"]


class Looks:
    """The looks at one server.

    Args:
        look: Looks once. Raises nothing.
        pause: Answers the seconds from the end of a look to the next; `None`: each is asked for.
    """

    def __init__(
        self,
        look: Callable[[], Coroutine[Any, Any, None]],
        pause: Callable[[], float] | None = None,
    ) -> None:
        self._look = look
        self._pause = pause
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_under_way(self) -> bool:
        """Whether somebody looks right now."""
        return self._task is not None and not self._task.done()

    async def now(self) -> None:
        """Look now; who comes while somebody looks waits for the same answer."""
        await asyncio.shield(self.begin())

    def begin(self) -> asyncio.Task[None]:
        """Look, without waiting for the outcome.

        Returns:
            What looks: somebody may have begun before.
        """
        if self._task is None or self._task.done():
            self._task = background(self._run)
        return self._task

    def hasten(self) -> None:
        """Have the next look come when `pause` says now, if one is awaited."""
        if self._timer is not None:
            self._schedule()

    def leave(self) -> list[asyncio.Task[None]]:
        """Look no more, and forget the event loop.

        Returns:
            What runs there still, for the caller to end.
        """
        task, timer = self._task, self._timer
        self._task = self._timer = None
        if timer is not None:
            timer.cancel()
        return [] if task is None else [task]

    async def _run(self) -> None:
        this = asyncio.current_task()
        try:
            await self._look()
        finally:
            is_current = self._task is this
            if is_current:
                self._task = None
        if is_current and self._pause is not None:
            self._schedule()

    def _schedule(self) -> None:
        assert self._pause is not None  # noqa: S101  # without it there is no timer
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        # The loop must not keep alive what everybody else has dropped.
        self._timer = loop.call_later(self._pause(), _begin, weakref.ref[Looks](self))


def _begin(reference: weakref.ref[Looks]) -> None:
    looks = reference()
    if looks is not None:
        looks.begin()
