"""A TCP proxy that can fall silent: connections stay open, and nothing passes any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

__all__ = ["Proxy", "Wire", "proxy_to"]

_CHUNK = 65536


@dataclass
class Wire:
    """One client's connection through the proxy.

    Attributes:
        sent: What the client has sent, in the order of its arrival.
        open: Whether neither side has closed it.
    """

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    sent: bytearray = field(default_factory=bytearray)
    open: bool = True
    forwards_up: bool = True
    forwards_down: bool = True

    def silence(self) -> None:
        """Forward nothing any more, in both directions, and close nothing."""
        self.forwards_up = self.forwards_down = False
        self.sent.clear()

    def close(self) -> None:
        """Close both sides without waiting for what is under way."""
        self.open = False
        for writer in (self.client, self.server):
            writer.transport.abort()


class Proxy:
    """Forwards connections to one server.

    Attributes:
        port: Where it listens, on the loopback interface.
        wires: Every connection it has accepted.
        refused: How many it has refused.
        refuse: Asked at each new connection whether to close it at once.
        silent: Whether new connections are accepted and then left without a word.
        swallow_answer_to: When a client sends this, it reaches the server, and the answer does not
            reach the client: the connection is closed instead.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._target = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.wires: list[Wire] = []
        self.refused = 0
        self.refuse: Callable[[], bool] = lambda: False
        self.silent = False
        self.swallow_answer_to: bytes | None = None

    @property
    def open_wires(self) -> list[Wire]:
        """Those that nobody has closed."""
        return [each for each in self.wires if each.open]

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        if self.refuse():
            self.refused += 1
            writer.transport.abort()
            return
        up, down = await asyncio.open_connection(self._host, self._target)
        wire = Wire(writer, down, forwards_up=not self.silent, forwards_down=not self.silent)
        self.wires.append(wire)
        for pump in (self._pump_up(reader, wire), self._pump_down(up, wire)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump_up(self, reader: asyncio.StreamReader, wire: Wire) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                wire.sent += data
                if self.swallow_answer_to is not None and self.swallow_answer_to in data:
                    wire.forwards_down = False
                if wire.forwards_up:
                    wire.server.write(data)
                    await wire.server.drain()
        wire.close()

    async def _pump_down(self, reader: asyncio.StreamReader, wire: Wire) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if wire.forwards_down:
                    wire.client.write(data)
                    await wire.client.drain()
                elif wire.forwards_up:
                    # The server has answered what was swallowed, and so has done it.
                    break
        wire.close()

    async def close(self) -> None:
        """Close every connection, and end."""
        for wire in self.wires:
            wire.close()
        if self._tasks:
            await asyncio.wait(self._tasks)


@contextlib.asynccontextmanager
async def proxy_to(host: str, port: int) -> AsyncIterator[Proxy]:
    """Run a proxy in this event loop.

    Args:
        host: The server's host.
        port: Its port.
    """
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
