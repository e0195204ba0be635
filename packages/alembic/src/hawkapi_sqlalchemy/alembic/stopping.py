"""A wish to stop, heard between two databases by the one command that it is meant for."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["stop_asked", "stoppable"]

_stop: ContextVar[threading.Event | None] = ContextVar("hawkapi_migrations_stop", default=None)


def stop_asked() -> bool:
    """Whether the command that runs in this context is to leave the databases that come next."""
    event = _stop.get()
    return event is not None and event.is_set()


@contextmanager
def stoppable() -> Generator[threading.Event]:
    """Make what is called in the block stoppable, also in threads that copy the context.

    Yields:
        What to set.
    """
    event = threading.Event()
    token = _stop.set(event)
    try:
        yield event
    finally:
        _stop.reset(token)
