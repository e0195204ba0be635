"""What `on_commit` has registered, looked at when its COMMIT has held."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from hawkapi_sqlalchemy.core.after_commit import CommitCallback, watch_callbacks

__all__ = ["CapturedCallback", "capture_on_commit"]


class CapturedCallback:
    """A callback whose transaction was committed.

    Calling it runs it, with the arguments that it was registered with.

    Args:
        callback: The callback, as the core has it.
    """

    def __init__(self, callback: CommitCallback) -> None:
        self._callback = callback

    @property
    def function(self) -> Callable[..., object]:
        """What `on_commit` was given."""
        return self._callback.function

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Its positional arguments."""
        return self._callback.arguments

    @property
    def has_run(self) -> bool:
        """Whether it was called, by the library or by the test."""
        return self._callback.has_run

    @property
    def error(self) -> Exception | None:
        """What it raised when the library ran it. The library itself only logs that."""
        return self._callback.error

    def __call__(self) -> Any:
        """Run it.

        Returns:
            What it returns; of a coroutine function that is to be awaited.
        """
        self._callback.has_run = True
        return self.function(*self.arguments)

    def __repr__(self) -> str:
        name = getattr(self.function, "__qualname__", None) or repr(self.function)
        given = ", ".join(repr(each) for each in self.arguments)
        return f"<{type(self).__name__} {name}({given}){' has run' if self.has_run else ''}>"


@contextmanager
def capture_on_commit(*, run: bool = True) -> Generator[list[CapturedCallback]]:
    """Capture the `on_commit` callbacks that become due in a block.

    They are those whose transaction was committed, in requests and in sessions, in the order in
    which they are due. Those of a transaction, or of a savepoint, that was rolled back never are.
    A plain context manager, in synchronous and asynchronous tests. It sees the callbacks of the
    whole process. Blocks may be nested: each sees them all, and they run if none of them objects.

    Args:
        run: Let them run, as without this block. With `False` they are only captured: the test
            runs them itself, by calling them. Default `True`.

    Yields:
        The callbacks. The list grows while the block runs.

    Examples:
        >>> import asyncio
        >>> from hawkapi_sqlalchemy.core import Database, DatabaseConfig, on_commit
        >>> async def work() -> None:
        ...     database = Database()
        ...     database.add("primary", DatabaseConfig("sqlite+aiosqlite://"))
        ...     async with database.session() as session:
        ...         on_commit(session, print, "receipt for", "ada@example.org")
        ...     await database.dispose()
        >>> with capture_on_commit(run=False) as callbacks:
        ...     asyncio.run(work())
        >>> [each.arguments for each in callbacks]
        [('receipt for', 'ada@example.org')]
        >>> callbacks[0]()
        receipt for ada@example.org
    """
    captured: list[CapturedCallback] = []

    def watch(callback: CommitCallback) -> bool:
        captured.append(CapturedCallback(callback))
        return run

    with watch_callbacks(watch):
        yield captured
