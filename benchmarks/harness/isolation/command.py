"""Measure what an isolated test costs, in several ways, into a file of results."""

import argparse
from pathlib import Path

from harness import conditions
from harness.isolation import report
from harness.isolation.modes import MODES
from harness.isolation.project import environment
from harness.isolation.results import Isolation
from harness.isolation.run import measure
from harness.parts import add_options, closing
from harness.results import Results
from hawkapi_sqlalchemy.pytest.servers.run import Run


def run(arguments: list[str]) -> int:
    """Measure, show it, and write the file if one is named; answer the exit status."""
    parser = argparse.ArgumentParser(prog="python benchmarks isolation", description=__doc__)
    parser.add_argument(
        "file", type=Path, nargs="?", help="results, whose part `isolation` is replaced, or new"
    )
    add_options(parser, MODES)
    options = parser.parse_args(arguments)
    if options.file is None:
        found = _measure(options.mode, options.seed)
    else:
        found = write(options.file, mode=options.mode, seed=options.seed)
    for table in report.tables(found):
        print(f"\n{table}")
    return 0


def write(file: Path, *, mode: str, seed: int) -> Isolation:
    """Measure, and put what was found into a file.

    Args:
        file: Results, whose part `isolation` is replaced, or a file that is not there yet.
        mode: `short` or `full`.
        seed: Of the order.

    Raises:
        BenchmarkError: Something that is needed is missing, or a test did not pass.
    """
    results = Results.read(file) if file.exists() else None
    found = _measure(mode, seed)
    if results is None:
        results = Results(
            made_at=found.made_at,
            mode=mode,
            version=conditions.version(),
            seed=seed,
            # Packages are listed by peer there, and none was measured.
            conditions={**found.conditions, "packages": {}},
        )
    results.isolation = found.as_dict()
    results.write(file)
    return found


def _measure(mode: str, seed: int) -> Isolation:
    made = environment()
    made.prepare()
    # The settings of test runs: those are what is measured.
    with closing(Run.new()) as servers:
        return measure(servers, made.python, mode=mode, seed=seed)
