"""What a socket tells without reading from it."""

from __future__ import annotations

import select
from typing import Any

__all__ = ["is_quiet"]


def is_quiet(transport: Any) -> bool:
    """Tell whether a connection that expects nothing has heard nothing.

    A server that ends a connection says so: its farewell, or the end of the stream, waits in the
    socket, also before the event loop has had an occasion to read it.

    Args:
        transport: The asyncio transport of an idle connection; `None` if there is none any more.

    Returns:
        `False` when something can be read, or the socket is gone.
    """
    socket = None if transport is None else transport.get_extra_info("socket")
    if socket is None:
        return False
    number = socket.fileno()
    return number >= 0 and not _is_readable(number)


if hasattr(select, "poll"):

    def _is_readable(number: int) -> bool:
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))

else:  # pragma: no cover  # Windows

    def _is_readable(number: int) -> bool:
        return bool(select.select([number], [], [], 0)[0])
