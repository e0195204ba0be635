"""Serve the application on a port of the loopback interface: `python -m replica_service PORT`."""

import asyncio
import socket
import sys

import uvicorn

from replica_service.application import create


async def main(port: int) -> bool:
    """Serve until a signal comes; tell whether it ever did."""
    config = uvicorn.Config(create(), ws="none", log_level="warning", timeout_graceful_shutdown=5)
    # A port that is taken ends the process with the system's own words.
    with socket.create_server(("127.0.0.1", port), backlog=512) as listener:
        server = uvicorn.Server(config)
        await server.serve(sockets=[listener])
    return server.started


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main(int(sys.argv[1]))) else "the start-up failed")
