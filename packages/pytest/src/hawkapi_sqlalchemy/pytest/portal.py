"""An event loop in a thread of its own, for what outlives the loops of tests.

A connection belongs to the loop that opened it, and every test may have a loop of its own, several,
or none. What is shared between tests therefore lives here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["Portal"]

__tracebackhide__ = True
"""An error of a statement is shown where it was sent from."""


class Portal:
    """A loop in a daemon thread, started at its first use.

    Its owner calls `close`.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._is_closed = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        with self._starting:
            if self._is_closed:
                raise RuntimeError("the run's databases have ended")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="hawkapi-sqlalchemy-tests", daemon=True
                )
                self._thread.start()
            return self._loop

    def run[T](self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, and block the calling thread meanwhile.

        Args:
            work: What to run.

        Returns:
            Its result.
        """
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def post(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine after those that were handed over before, and wait for nothing.

        Args:
            work: What to run; nobody sees what it raises.
        """
        if self._is_closed:
            work.close()
        else:
            asyncio.run_coroutine_threadsafe(work, self.loop)

    async def bridge[T](
        self, work: Coroutine[Any, Any, T], *, interrupt: Callable[[], object] | None = None
    ) -> T:
        """Run a coroutine to its end, and await it in the calling loop.

        Who is cancelled meanwhile goes on only when the coroutine has ended.

        Args:
            work: What to run.
            interrupt: Called in the portal's loop when the caller is cancelled, to end the work
                soon. Without it the work goes on to its own end.

        Returns:
            Its result.
        """
        done = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.loop))
        cancelled: asyncio.CancelledError | None = None
        while not done.done():
            try:
                # Not awaited itself: a cancellation here would cancel the work there.
                await asyncio.wait({done})
            except asyncio.CancelledError as error:
                if cancelled is None and interrupt is not None:
                    self.loop.call_soon_threadsafe(interrupt)
                cancelled = error
        if cancelled is not None:
            # Retrieved, so that asyncio does not report it as never seen.
            if not done.cancelled():
                done.exception()
            raise cancelled
        return done.result()

    def close(self) -> None:
        """End the loop and its thread; what still runs there is cancelled. Twice does no more."""
        with self._starting:
            loop, self._loop = self._loop, None
            self._is_closed = True
        if loop is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
