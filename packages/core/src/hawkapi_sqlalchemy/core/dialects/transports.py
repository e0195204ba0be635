"""The end of a socket whose event loop may be closed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

__all__ = ["abandon"]


def abandon(close: Callable[[], object], transport: Any) -> None:
    """Close a driver's connection at once, without a word to the server.

    Args:
        close: The driver's function that closes the transport; may be called twice.
        transport: The connection's transport.
    """
    try:
        close()
    except RuntimeError:
        # A closed loop refuses to schedule the transport's end.
        with contextlib.suppress(RuntimeError):
            close()
        _end(transport)


def _end(transport: Any) -> None:
    """Do at once what a closed loop would have been asked to do.

    asyncio has no public way: a transport of its closed loop keeps its socket open until it is
    collected, and then complains. Other loops close their transports with themselves, and have
    none of these names.
    """
    below = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    for each in (transport, below):
        end = getattr(each, "_call_connection_lost", None)
        if end is not None:
            # The protocol may want the loop too; the socket is closed all the same.
            with contextlib.suppress(RuntimeError):
                end(None)
