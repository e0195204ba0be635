"""Serve one peer's application over HTTP, until standard input ends.

Runs in the peer's environment: granian, with one worker, is a process below this one.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

_END_TIMEOUT = 15.0


def main() -> None:
    peer, port = sys.argv[1:3]
    benchmarks = Path(__file__).parents[1]
    folder = benchmarks / "peers" / peer
    # What the harness reads is this process's output; the server's goes to its log.
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "granian", "--interface", "asgi", "--workers", "1"),
            *("--host", "127.0.0.1", "--port", port, "--loop", "asyncio", "--no-ws"),
            *("--log-level", "warning", "app:app"),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(benchmarks)])},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        start_new_session=True,
    )
    threading.Thread(target=_end_with_input, args=[server], daemon=True).start()
    # Ends too when the server does not start.
    sys.exit(server.wait())


def _end_with_input(server: subprocess.Popen[bytes]) -> None:
    sys.stdin.read()
    server.terminate()
    time.sleep(_END_TIMEOUT)
    # Still here: the group is the server's own, with its worker in it.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
