"""Ports on the loopback interface."""

import contextlib
import random
import socket
from pathlib import Path

from hawkapi_sqlalchemy.pytest.servers.errors import ServerError

HOST = "127.0.0.1"

# Below the range the kernel takes for outgoing connections: a port that is free
# while its server is down is then not taken by somebody's client, and no client
# can connect to itself while it polls a closed port.
CANDIDATES = range(15_000, 32_000)


def reserve(folder: Path) -> int:
    """Choose a free port which nobody else who uses `folder` gets, until `release`.

    The reservation keeps a server's port while it is down. Strangers can still
    take the port: whoever starts a server must be ready to choose again.
    """
    # The shared generator is the tests': what they draw must not depend on who starts a server.
    for port in random.SystemRandom().sample(CANDIDATES, k=200):
        with contextlib.suppress(FileExistsError):
            (folder / str(port)).touch(exist_ok=False)
            if _can_bind(port):
                return port
            release(folder, port)
    raise ServerError(f"no free port among 200 tries in {CANDIDATES}")


def release(folder: Path, port: int) -> None:
    """Give a reserved port back."""
    (folder / str(port)).unlink(missing_ok=True)


def _can_bind(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
