"""A process of a peer's environment, which ends when the harness does."""

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from harness.environments import clean_variables
from harness.errors import BenchmarkError

_LINES_SHOWN = 15
_END_TIMEOUT = 20.0


class Child:
    """A process that watches its standard input, and ends when that does.

    Args:
        argv: The program and its arguments.
        log: Where its standard error goes.
        env: Variables beside those inherited.
        what: What error messages call it.
    """

    def __init__(self, argv: list[str], log: Path, env: Mapping[str, str], what: str) -> None:
        self.what = what
        self._log = log
        self._buffer = b""
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**clean_variables(), **env},
                # Ctrl-C is for the harness alone, which ends its children in good order.
                start_new_session=True,
            )
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    def write_line(self, line: str) -> None:
        """Send a line.

        Raises:
            BenchmarkError: The process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self.error("has ended") from None

    def read_line(self, timeout: float) -> str:
        """Wait for a line.

        Raises:
            BenchmarkError: The process has ended, or said nothing for `timeout` seconds.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise self.error(f"gave no answer within {timeout:g} s")
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                raise self.error("has ended")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode()

    def end(self) -> None:
        """End the process, by force if it does not go by itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._selector.close()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def error(self, happened: str) -> BenchmarkError:
        """Describe a failure of the process, with what it said last."""
        lines = self._log.read_text(errors="replace").strip().splitlines()
        said = "".join(f"\n  {line}" for line in lines[-_LINES_SHOWN:]) or " nothing"
        return BenchmarkError(f"{self.what} {happened}; it said last:{said}")
