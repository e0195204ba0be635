"""The benchmarks."""

import argparse
import sys
from pathlib import Path

# The servers are those of the tests.
sys.path.append(str(Path(__file__).parents[1] / "tests" / "lib"))

from harness.report import command as report
from harness.scale import command as scale


def main() -> None:
    """Read the command line, and do what it says."""
    parser = argparse.ArgumentParser(prog="python benchmarks", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for module in (report, scale):
        name = module.__name__.split(".")[1]
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
