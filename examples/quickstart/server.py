"""The application behind a real HTTP server."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from hawkapi import HawkAPI

HOST = "127.0.0.1"

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 20.0


class StartError(Exception):
    """The server did not start; its log says why."""


def listen(port: int) -> socket.socket:
    """Reserve a port of this machine; 0 takes a free one."""
    return socket.create_server((HOST, port))


def address(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def serve(app: HawkAPI, listener: socket.socket) -> None:
    """Serve until Ctrl-C."""
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


@asynccontextmanager
async def serving(app: HawkAPI) -> AsyncGenerator[str]:
    """Serve on a free port as long as the block runs.

    Yields:
        The server's address.

    Raises:
        StartError: The application's start-up failed.
    """
    with listen(0) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                while not server.started:
                    if task.done():
                        raise StartError("the server ended before it had started")
                    await asyncio.sleep(0.01)
            yield address(listener)
        finally:
            server.should_exit = True
            await asyncio.wait_for(task, _STOP_TIMEOUT)
