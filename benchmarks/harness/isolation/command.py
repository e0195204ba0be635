"""Measure what an isolated test costs, in several ways, into a file of results."""

import argparse
import random
from pathlib import Path

from harness import conditions
from harness.errors import BenchmarkError
from harness.isolation import report
from harness.isolation.modes import MODES
from harness.isolation.project import environment
from harness.isolation.results import Isolation
from harness.isolation.run import measure
from harness.results import Results
from hawkapi_sqlalchemy.pytest.servers.errors import ServerError, ServerMissingError
from hawkapi_sqlalchemy.pytest.servers.run import Run


def run(arguments: list[str]) -> int:
    """Measure, show it, and write the file if one is named; answer the exit status."""
    parser = argparse.ArgumentParser(prog="python benchmarks isolation", description=__doc__)
    parser.add_argument(
        "file", type=Path, nargs="?", help="results, whose part `isolation` is replaced, or new"
    )
    parser.add_argument("--mode", choices=sorted(MODES), default="short")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="of the order"
    )
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
    servers = Run.new()
    try:
        return measure(servers, made.python, mode=mode, seed=seed)
    except ServerMissingError as error:
        raise BenchmarkError(error.reason, error.remedy) from error
    except ServerError as error:
        raise BenchmarkError(str(error)) from error
    finally:
        servers.close()
