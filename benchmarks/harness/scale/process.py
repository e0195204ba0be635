"""A worker, seen from the process that measures."""

import json
import os
import selectors
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_BENCHMARKS = Path(__file__).parents[2]
_PATIENCE = 30.0
_STOP = 20.0
_TOLD = 4000


class WorkerError(Exception):
    """A worker did not answer; the message holds what it wrote before."""


class WorkerProcess:
    """A running worker.

    Args:
        commands: Where commands go.
        answers: Where its answers come from.
        errors: The file that it writes its errors to.
    """

    def __init__(self, commands: IO[bytes], answers: IO[bytes], errors: IO[bytes]) -> None:
        self._commands = commands
        self._answers = answers
        self._errors = errors

    def ask(self, command: str, *, within: float = _PATIENCE, **arguments: Any) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Args:
            command: The name of the worker's method.
            within: Seconds to wait.
            arguments: The method's.

        Raises:
            WorkerError: It did not answer in time, or it has ended.
        """
        try:
            self._commands.write(json.dumps({"do": command, **arguments}).encode() + b"\n")
            self._commands.flush()
        except BrokenPipeError:
            raise WorkerError(f"the worker ended before {command!r}: {self._told()}") from None
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            if not selector.select(within):
                raise WorkerError(f"no answer to {command!r} within {within:g} s: {self._told()}")
        # An answer is one line, written at once.
        line = self._answers.readline()
        if not line:
            raise WorkerError(f"the worker ended at {command!r}: {self._told()}")
        return json.loads(line)

    def _told(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-_TOLD:]


@contextmanager
def worker_process(python: Path) -> Generator[WorkerProcess]:
    """Run a worker, which is stopped at the end of the block, and killed if that fails.

    Args:
        python: The interpreter of the peer's environment.

    Yields:
        The worker.

    Raises:
        WorkerError: It did not stop.
    """
    environment = {**os.environ, "PYTHONPATH": str(_BENCHMARKS), "PYTHONHASHSEED": "0"}
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [str(python), "-m", "harness.scale.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
        ) as process,
    ):
        if process.stdin is None or process.stdout is None:
            raise WorkerError("the worker has no pipes")
        try:
            worker = WorkerProcess(process.stdin, process.stdout, errors)
            yield worker
            worker.ask("stop", within=_STOP)
            process.wait(_STOP)
        finally:
            process.kill()
