"""`python benchmarks`: see `--help`."""

import os
import sys
from pathlib import Path

from harness.environments import harness_environment
from harness.errors import BenchmarkError
from harness.paths import SERVER_LIBRARY


def main() -> int:
    if sys.version_info < (3, 12):  # noqa: UP036  # what the packages need; told, not assumed
        print("benchmarks: needs Python 3.12 or later", file=sys.stderr)
        return 2
    environment = harness_environment()
    if Path(sys.prefix).resolve() != environment.folder.resolve():
        try:
            environment.prepare()
        except BenchmarkError as error:
            print(f"benchmarks: {error}", file=sys.stderr)
            return 1
        # The same process goes on, so that whoever watches or stops it still does.
        os.execv(environment.python, [str(environment.python), *sys.argv])
    sys.path.append(str(SERVER_LIBRARY))
    from harness.commands import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
