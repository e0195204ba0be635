"""Commands in, answers out."""

import asyncio
import json
import os
import sys
import threading
from typing import Any, Self


class Pipes:
    """The two pipes to whoever started this process.

    Args:
        answers: The descriptor that answers are written to.
    """

    def __init__(self, answers: int) -> None:
        self._answers = answers

    @classmethod
    def take_over(cls) -> Self:
        """Keep standard output for answers; what a peer prints goes to standard error."""
        answers = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return cls(answers)

    def listen(self) -> asyncio.Queue[dict[str, Any]]:
        """Read commands in a thread: the loop is busy while it measures."""
        commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def read() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))
            os._exit(1)

        threading.Thread(target=read, daemon=True).start()
        return commands

    def answer(self, answer: dict[str, Any]) -> None:
        """Send one answer."""
        os.write(self._answers, json.dumps(answer).encode() + b"\n")
