"""The command line."""

import argparse
import random
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import report
from harness.budgets import broken_counts
from harness.catalogue import CLIENTS, DATABASES, PEERS, REFERENCE, WORKLOADS
from harness.errors import BenchmarkError
from harness.over_http import wrk
from harness.plan import FULL, SHORT, Plan
from harness.progress import Progress
from harness.results import Results
from harness.running import Benchmark, steps

_DESCRIPTION = """\
Compare hawkapi-sqlalchemy with its peers, as ratios within one run.

Each peer gets an environment of its own (benchmarks/.environments), made when it is
needed. PostgreSQL and MariaDB are started for the run, on free ports, and stopped at its
end; `wrk` makes the load over HTTP."""

_EPILOG = f"""\
other commands, each with a --help of its own:
  report FILE   write the page of the documentation and its plots, made of results
  scale FILE    measure how costs grow, into results
  isolation     measure what an isolated test costs, also into results
With --docs a run is followed by all of them, and writes into docs/.

peers:
{chr(10).join(f"  {peer.name:28}{peer.title}" for peer in PEERS.values())}

exit status:
  0  measured; budgets of time are told, and never fail a run
  1  something is missing or does not work; the message names the remedy
  2  the command line cannot be read
  3  a count is broken: round trips, connections, failures, or rows lost

An option that takes a NAME or several numbers may be given several times."""

_BROKEN = 3
_INTERRUPTED = 130


def run(arguments: list[str]) -> int:
    """Run the benchmark; answer the exit status."""
    options = parser().parse_args(arguments)
    plan = plan_of(options)
    progress = Progress(steps(plan))
    # Whoever ends the harness ends what it started: in good order, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if plan.http:
            plan = _without_wrk(plan, progress)
        results = Benchmark(plan, progress).run()
    except BenchmarkError as error:
        progress.clear()
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        progress.clear()
        print("benchmarks: interrupted", file=sys.stderr)
        return _INTERRUPTED
    progress.clear()
    if options.output is not None:
        results.write(options.output)
    _show(results)
    return _BROKEN if broken_counts(results.budgets) else 0


def plan_of(options: argparse.Namespace) -> Plan:
    """Make the plan that the options ask for."""
    plan = FULL if options.full else SHORT
    several = {
        "databases": options.database,
        "workloads": options.workload,
        "clients": options.clients,
        "http_databases": options.http_database,
    }
    single = {
        "rounds": options.rounds,
        "runs": options.runs,
        "seconds": options.seconds,
        "http": options.http,
        "http_rounds": options.http_rounds,
        "seed": options.seed,
        "logs": options.logs,
    }
    changes: dict[str, Any] = {name: value for name, value in single.items() if value is not None}
    changes |= {name: tuple(dict.fromkeys(value)) for name, value in several.items() if value}
    if options.peer:
        # Without the reference there are no ratios.
        changes["peers"] = tuple(dict.fromkeys((REFERENCE, *options.peer)))
    plan = replace(plan, **changes)
    databases = tuple(each for each in plan.http_databases if each in plan.databases)
    return replace(plan, http_databases=databases, http=plan.http and bool(databases))


def _without_wrk(plan: Plan, progress: Progress) -> Plan:
    """Leave HTTP out of a short run where the load generator is missing."""
    try:
        wrk()
    except BenchmarkError as error:
        if plan.mode != SHORT.mode:
            raise
        progress.phase(f"nothing is measured over HTTP: {error}")
        return replace(plan, http=False)
    return plan


def _show(results: Results) -> None:
    for table in report.tables(results):
        print(f"\n{table}")
    print(f"\nseed {results.seed}")
    for verdict in broken_counts(results.budgets):
        print(
            f"benchmarks: {verdict.name}: {verdict.measured:g}, and the limit is {verdict.limit:g}",
            file=sys.stderr,
        )


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python benchmarks",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--short",
        action="store_true",
        help="two minutes: ours, the reference and HawkAPI alone (the default)",
    )
    mode.add_argument("--full", action="store_true", help="an hour or more: everything")
    several: dict[str, Any] = {"action": "append", "metavar": "NAME"}
    parser.add_argument(
        "--database", choices=DATABASES, help=f"only this one of {_list(DATABASES)}", **several
    )
    parser.add_argument(
        "--peer", choices=PEERS, help="only this one, and the reference; see below", **several
    )
    parser.add_argument(
        "--workload", choices=WORKLOADS, help=f"only this one of {_list(WORKLOADS)}", **several
    )
    parser.add_argument(
        "--clients",
        type=_positive,
        action="append",
        metavar="N",
        help=f"this many requests at a time (full: {_list(map(str, CLIENTS))})",
    )
    parser.add_argument(
        "--rounds", type=_positive, metavar="N", help="measure each N times in a run"
    )
    parser.add_argument(
        "--runs", type=_positive, metavar="N", help="repeat all N times, with new processes"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        metavar="S",
        help="as many requests a measurement as the reference answers in S seconds",
    )
    parser.add_argument(
        "--http",
        action=argparse.BooleanOptionalAction,
        help="measure over HTTP (granian, wrk), or not (default: yes)",
    )
    parser.add_argument(
        "--http-database", choices=DATABASES, help="over HTTP on this (postgresql)", **several
    )
    parser.add_argument(
        "--http-rounds", type=_positive, metavar="N", help="measure each N times over HTTP"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=random.SystemRandom().randrange(1 << 32),
        metavar="N",
        help="draw the orders of a former run again (default: a new one)",
    )
    parser.add_argument(
        "--output", type=_file, metavar="FILE", help="write the results to FILE, as JSON"
    )
    parser.add_argument(
        "--logs", type=_file, metavar="FOLDER", help="keep what the peers' processes say there"
    )
    return parser


def _list(names: Any) -> str:
    return ", ".join(names)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"a number from 1 on, not {number}")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 10:
        raise argparse.ArgumentTypeError(f"seconds up to 10, not {text}")
    return seconds


def _file(text: str) -> Path:
    file = Path(text)
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"the folder of {text} does not exist")
    return file
