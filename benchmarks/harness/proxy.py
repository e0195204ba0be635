"""A TCP proxy between an application and its server, which counts.

A round trip is a change of direction that was answered: the client sent something, however many
packets it took, and the server then answered, in however many. Two statements that are sent
together and answered together are one round trip, which is what they cost on a wire. What is
sent and never answered, as the farewell of a connection that closes, is none.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_CHUNK = 1 << 16
_START_TIMEOUT = 10.0


@dataclass(frozen=True)
class Tally:
    """What a proxy has counted.

    Attributes:
        round_trips: Answered changes of direction, over all connections.
        connections: Connections that clients opened.
    """

    round_trips: int = 0
    connections: int = 0

    def __sub__(self, before: "Tally") -> "Tally":
        return Tally(self.round_trips - before.round_trips, self.connections - before.connections)


class Turns:
    """Counts the round trips of one connection.

    Attributes:
        round_trips: How many there were.
    """

    def __init__(self) -> None:
        self.round_trips = 0
        self._asked = False

    def client_sent(self) -> None:
        """Hear that the client sent something."""
        self._asked = True

    def server_sent(self) -> None:
        """Hear that the server sent something."""
        # An answer in pieces counts once, and a greeting that nobody asked for not at all.
        if self._asked:
            self._asked = False
            self.round_trips += 1


class Proxy:
    """A proxy on a free port of this machine, in a thread of its own. A context manager.

    Args:
        host: Where the server is.
        port: The server's port.

    Attributes:
        port: The proxy's own port.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._turns: list[Turns] = []
        self._open: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._listening: Future[int] = Future()
        self._done = asyncio.Event()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.port = self._listening.result(_START_TIMEOUT)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join()

    @property
    def tally(self) -> Tally:
        """What was counted until now.

        What a client has the answer to is counted already: an answer is counted before it is
        passed on.
        """
        turns = list(self._turns)
        return Tally(sum(each.round_trips for each in turns), len(turns))

    @property
    def open_connections(self) -> int:
        """Connections that are open now."""
        return len(self._open)

    def _serve(self) -> None:
        self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._listening.set_result(server.sockets[0].getsockname()[1])
        await self._done.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        turns = Turns()
        self._turns.append(turns)
        self._open.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._server)
            both = (
                _pass(reader, server_writer, turns.client_sent),
                _pass(server_reader, writer, turns.server_sent),
            )
            try:
                await asyncio.gather(*both)
            finally:
                server_writer.close()
        finally:
            writer.close()
            self._open.discard(task)


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: Callable[[], None]
) -> None:
    """Pass one direction on until it ends, and end the other side's then."""
    # A peer that resets its connection has ended it, if in haste.
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            sent()
            writer.write(chunk)
            await writer.drain()
    writer.close()
