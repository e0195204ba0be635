"""The command line."""

import argparse
import sys
from dataclasses import replace

from harness import report
from harness.errors import BenchmarkError
from harness.plan import FULL, SHORT, Plan
from harness.progress import Progress
from harness.running import Benchmark, steps


def run(arguments: list[str]) -> int:
    """Run the benchmark; answer the exit status."""
    plan = replace(SHORT, databases=("postgresql",), workloads=("one_row",))
    progress = Progress(steps(plan))
    try:
        results = Benchmark(plan, progress).run()
    except BenchmarkError as error:
        progress.clear()
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    progress.clear()
    for table in report.tables(results):
        print(f"\n{table}")
    return 0
