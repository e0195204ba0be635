"""One peer's application in a process of its own, driven by lines of JSON.

Runs in the peer's environment with the standard library alone. Commands come on standard input,
one answer to each goes to standard output; the end of the input ends the process at once, so that
no worker outlives whoever started it.
"""

import asyncio
import os
import sys
from pathlib import Path
from pipes import Pipes

from commands import serve_commands


def main() -> None:
    benchmarks = Path(__file__).parents[1]
    sys.path[1:1] = [str(benchmarks / "peers" / sys.argv[1]), str(benchmarks)]
    pipes = Pipes.take_over()
    asyncio.run(serve_commands(pipes))
    # Whatever thread or connection a peer has forgotten must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
