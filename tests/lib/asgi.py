"""ASGI spoken by hand: every message of a response is kept, and can be waited at."""

from __future__ import annotations

import asyncio
import contextlib
import json as json_module
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn

DEADLINE = 20.0

type Message = dict[str, Any]
type Receive = Callable[[], Awaitable[Message]]


@dataclass
class Reply:
    """The messages that an application sent for one request."""

    messages: list[Message] = field(default_factory=list)

    @property
    def starts(self) -> list[Message]:
        return [each for each in self.messages if each["type"] == "http.response.start"]

    @property
    def start(self) -> Message:
        """The only start, which came before anything else."""
        assert len(self.starts) == 1, self.messages
        assert self.messages[0] is self.starts[0], self.messages
        return self.starts[0]

    @property
    def status(self) -> int:
        return self.start["status"]

    @property
    def headers(self) -> dict[str, str]:
        pairs = [(name.decode(), value.decode()) for name, value in self.start["headers"]]
        assert len(dict(pairs)) == len(pairs), pairs
        return dict(pairs)

    @property
    def chunks(self) -> list[bytes]:
        return [
            each.get("body", b"") for each in self.messages if each["type"] == "http.response.body"
        ]

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def json(self) -> Any:
        return json_module.loads(self.body)


def body_then_silence(body: bytes) -> Receive:
    """Give the request's body, then wait as a server does whose client says nothing more."""
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if pending:
            return pending.pop()
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def call(
    app: Any,
    method: str,
    path: str,
    *,
    query: str = "",
    body: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    receive: Receive | None = None,
    on_start: Callable[[], Awaitable[object]] | None = None,
    reply: Reply | None = None,
) -> Reply:
    """Send a request, and return once the application has ended, background tasks included.

    Args:
        app: The application.
        method: GET, POST, ...
        path: The path.
        query: What follows the question mark.
        body: The request's body.
        headers: Headers of the request, beside `host`.
        receive: Answers the application's `receive()` instead of `body`.
        on_start: Awaited when the response's start has left, before the application goes on.
        reply: Where the messages go, for who wants to see those sent before an exception.
    """
    reply = Reply() if reply is None else reply

    async def send(message: Message) -> None:
        reply.messages.append(message)
        if on_start is not None and message["type"] == "http.response.start":
            await on_start()

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "server": ("testserver", 80),
        "headers": [(b"host", b"testserver"), *headers],
    }
    await app(scope, receive or body_then_silence(body), send)
    return reply


class StartupFailedError(Exception):
    """The application answered `lifespan.startup.failed`."""


@contextlib.asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Start the application up, and shut it down at the end.

    Raises:
        StartupFailedError: It refused to start; the message is its own.
    """
    wanted: asyncio.Queue[Message] = asyncio.Queue()
    answers: asyncio.Queue[Message] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, wanted.get, answers.put))
    try:
        await wanted.put({"type": "lifespan.startup"})
        answer = await asyncio.wait_for(answers.get(), DEADLINE)
        if answer["type"] == "lifespan.startup.failed":
            raise StartupFailedError(answer["message"])
        yield
        await wanted.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(answers.get(), DEADLINE)
    finally:
        task.cancel()
        await asyncio.wait([task])


@dataclass
class Served:
    """An application behind a real server."""

    url: str
    port: int
    server: uvicorn.Server

    @property
    def connections(self) -> int:
        """Clients that the server believes to be there."""
        return len(self.server.server_state.connections)


@contextlib.asynccontextmanager
async def serve(app: Any) -> AsyncIterator[Served]:
    """Serve an application on a free port, in this event loop."""
    config = uvicorn.Config(app, ws="none", log_config=None, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port = listener.getsockname()[1]
        task = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started or task.done())
        assert server.started
        try:
            yield Served(f"http://127.0.0.1:{port}", port, server)
        finally:
            server.should_exit = True
            await task


async def until(condition: Callable[[], Any], deadline: float = DEADLINE) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It does not hold in time.
    """
    async with asyncio.timeout(deadline):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0.005)
