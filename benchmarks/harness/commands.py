"""Which command is run: the measurements, unless another one is named."""

import sys

from harness import command_line
from harness.errors import BenchmarkError
from harness.isolation import command as isolation
from harness.publish import command as publish
from harness.results import Results
from harness.scale import command as scale

DOCS = "--docs"
_MEASURED = (0, 3)
"""Statuses of a run that has written its results; with 3 a count was broken."""


def run(arguments: list[str]) -> int:
    """Run a command; answer the exit status.

    With `--docs` the measurements are followed by those of scale and of isolation, and by the page
    and the plots of the documentation.
    """
    try:
        match arguments:
            case ["report", *rest]:
                return publish.run(rest)
            case ["scale", *rest]:
                return scale.run(rest)
            case ["isolation", *rest]:
                return isolation.run(rest)
            case _ if DOCS in arguments:
                return _with_docs([each for each in arguments if each != DOCS])
            case _:
                return command_line.run(arguments)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1


def _with_docs(arguments: list[str]) -> int:
    publish.STORED.parent.mkdir(parents=True, exist_ok=True)
    status = command_line.run([*arguments, "--output", str(publish.STORED)])
    if status in _MEASURED:
        results = Results.read(publish.STORED)
        scale.write(publish.STORED, mode=results.mode, seed=results.seed)
        isolation.write(publish.STORED, mode=results.mode, seed=results.seed)
        publish.write(publish.STORED)
    return status
