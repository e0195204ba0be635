"""What the terminal shows while a run goes on."""

import sys
import time
from typing import TextIO

_EVERY = 10.0


class Progress:
    """A line that is rewritten on a terminal, and written now and then elsewhere.

    Args:
        steps: How many there will be, about.
        out: Where to write.
    """

    def __init__(self, steps: int, out: TextIO = sys.stderr) -> None:
        self._steps = max(1, steps)
        self._out = out
        self._done = 0
        self._begin = time.monotonic()
        self._written = 0.0
        self._terminal = out.isatty()

    def phase(self, name: str) -> None:
        """Begin something that is no step: a line of its own."""
        self.clear()
        print(f"[{self._clock()}] {name}", file=self._out, flush=True)

    def step(self, what: str) -> None:
        """Begin one step."""
        self._done += 1
        now = time.monotonic()
        if not self._terminal and now - self._written < _EVERY:
            return
        self._written = now
        line = f"[{self._clock()}] {min(99, 100 * self._done // self._steps):2} %  {what}"
        if self._terminal:
            print(f"\r{line:<78.78}", end="", file=self._out, flush=True)
        else:
            print(line, file=self._out, flush=True)

    def clear(self) -> None:
        """Leave the line free for other output."""
        if self._terminal:
            print(f"\r{'':78}\r", end="", file=self._out, flush=True)

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._begin)
        return f"{seconds // 60:3}:{seconds % 60:02}"
