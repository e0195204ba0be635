"""Measure how costs grow with clients, requests and databases, into a file of results."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from harness import conditions
from harness.durable import DurableRun
from harness.environments import peer_environment
from harness.parts import add_options, closing
from harness.results import Results
from harness.scale.modes import MODES
from harness.scale.process import worker_process
from harness.scale.run import PEERS, measure
from hawkapi_sqlalchemy.pytest.servers.run import Run


def run(arguments: list[str]) -> int:
    """Measure, and write the file; answer the exit status."""
    parser = argparse.ArgumentParser(prog="python benchmarks scale", description=__doc__)
    parser.add_argument("file", type=Path, help="results, whose part `scale` is replaced, or new")
    add_options(parser, MODES)
    options = parser.parse_args(arguments)
    write(options.file, mode=options.mode, seed=options.seed)
    return 0


def write(file: Path, *, mode: str, seed: int) -> None:
    """Measure, and put what was found into a file.

    Args:
        file: Results, whose part `scale` is replaced, or a file that is not there yet.
        mode: `short` or `full`.
        seed: Of the order.

    Raises:
        BenchmarkError: Something that is needed is missing.
    """
    pythons: dict[str, Path] = {}
    for peer in PEERS:
        environment = peer_environment(peer)
        environment.prepare()
        pythons[peer] = environment.python
    with closing(DurableRun.new()) as servers:
        results = Results.read(file) if file.exists() else _new(servers, pythons, mode, seed)
        results.scale = measure(servers, pythons, mode=mode, seed=seed).as_dict()
    results.write(file)


def _new(servers: Run, pythons: dict[str, Path], mode: str, seed: int) -> Results:
    packages: dict[str, dict[str, str]] = {}
    for peer, python in pythons.items():
        with worker_process(python) as worker:
            packages[peer] = conditions.told(worker.ask("packages"))
    return Results(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        mode=mode,
        version=conditions.version(),
        seed=seed,
        conditions={
            **conditions.machine(),
            "servers": {
                "postgresql": servers.postgresql().execute("SHOW server_version")[0][0],
                "mariadb": servers.mariadb().execute("SELECT version()")[0][0],
            },
            "packages": packages,
        },
    )
