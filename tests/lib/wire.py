"""What goes over the wire to a database server: each statement, and each round trip.

A relay stands between the driver and the server and reads along what the client says. On SQLite,
which has no wire, the library itself tells what it runs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.engine import Engine
from sqlalchemy.util import await_only

PING = "ping"
"""How MariaDB's own ping appears among the statements."""

type Listener = Generator[None, bytes, None]
"""It is sent the bytes, as they come."""

_SSL_REQUEST = 80877103
_COM_QUERY, _COM_PING = 0x03, 0x0E


@dataclass
class Wire:
    """What clients have sent since the last `clear`.

    Attributes:
        url: The URL that leads through the relay.
        statements: What the server was told to execute, in order.
        round_trips: How often it was told to answer.
    """

    url: str
    statements: list[str] = field(default_factory=list)
    round_trips: int = 0

    def clear(self) -> None:
        self.statements.clear()
        self.round_trips = 0


@contextlib.asynccontextmanager
async def tapped(url: str) -> AsyncIterator[Wire]:
    """Stand between the driver and a PostgreSQL or MariaDB server."""
    parsed = make_url(url)
    wire = Wire("")
    reader_of = {"postgresql": _postgresql, "mysql": _mysql}[parsed.get_backend_name()]
    ends: set[asyncio.StreamWriter] = set()
    served: set[asyncio.Task[None]] = set()

    async def serve(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        ends.add(answers)
        served.add(asyncio.current_task())
        server, questions = await asyncio.open_connection(parsed.host, parsed.port)
        ends.add(questions)
        listener = reader_of(wire)
        next(listener)
        await asyncio.gather(
            _relay(client, questions, listener.send), _relay(server, answers, lambda _: None)
        )

    relay = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = relay.sockets[0].getsockname()[1]
    wire.url = parsed.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)
    try:
        yield wire
    finally:
        relay.close()
        for end in ends:
            end.close()
        await asyncio.gather(*served)


def traced(engine: Engine, wire: Wire) -> None:
    """Have SQLite tell what the connections of an engine run; each statement is a round trip.

    Args:
        engine: The engine below the `AsyncEngine`, before it has a connection.
        wire: Where it is written down.
    """

    def note(statement: str) -> None:
        wire.statements.append(statement)
        wire.round_trips += 1

    @event.listens_for(engine, "connect")
    def connect(_: object, record: Any) -> None:
        await_only(record.driver_connection.set_trace_callback(note))


async def _relay(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, listen: Callable[[bytes], object]
) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            # Before it goes on: who has the server's answer finds the question written down.
            listen(data)
            target.write(data)
            await target.drain()
    target.close()


def _postgresql(wire: Wire) -> Listener:
    """Read messages: https://www.postgresql.org/docs/current/protocol-message-formats.html."""
    buffer = bytearray()
    # What comes before the session has no type: the wish for encryption, then the start.
    while int.from_bytes((yield from _take_body(buffer))[:4]) == _SSL_REQUEST:
        pass
    texts: dict[bytes, str] = {}
    bound = ""
    while True:
        kind = yield from _take(buffer, 1)
        body = yield from _take_body(buffer)
        if kind == b"Q":
            wire.statements.append(body[:-1].decode())
        elif kind == b"P":
            name, query, _ = body.split(b"\0", 2)
            texts[name] = query.decode()
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            bound = texts[name]
        elif kind == b"E":
            wire.statements.append(bound)
        if kind in b"QS":
            wire.round_trips += 1


def _mysql(wire: Wire) -> Listener:
    """Read packets: https://mariadb.com/kb/en/0-packet/."""
    buffer = bytearray()
    while True:
        head = yield from _take(buffer, 4)
        body = yield from _take(buffer, int.from_bytes(head[:3], "little"))
        # A command is the first packet of its exchange; the answer to a greeting is not.
        if head[3] == 0 and body[0] in (_COM_QUERY, _COM_PING):
            wire.statements.append(body[1:].decode() if body[0] == _COM_QUERY else PING)
            wire.round_trips += 1


def _take_body(buffer: bytearray) -> Generator[None, bytes, bytes]:
    """Wait for what follows a length that counts itself."""
    length = int.from_bytes((yield from _take(buffer, 4)))
    return (yield from _take(buffer, length - 4))


def _take(buffer: bytearray, size: int) -> Generator[None, bytes, bytes]:
    while len(buffer) < size:
        buffer += yield
    taken = bytes(buffer[:size])
    del buffer[:size]
    return taken
