"""Measure how costs grow, and put what was found into a file of results."""

import argparse
import datetime as dt
import importlib.metadata
import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from dbservers.run import Run
from harness.report.results import SCHEMA, Results, parse
from harness.scale.conditions import conditions
from harness.scale.modes import MODES
from harness.scale.run import PEERS, measure

HELP = "measure how costs grow"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `scale`."""
    parser.add_argument("file", type=Path, help="results, whose part `scale` is replaced, or new")
    parser.add_argument("--mode", choices=sorted(MODES), default="short")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="of the order")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PYTHON",
        help=f"the interpreter of a peer's environment ({', '.join(PEERS)}); by default ours and "
        "raw are measured with the one that runs this",
    )


def run(arguments: argparse.Namespace) -> None:
    """Measure, and write the file."""
    pythons = {"ours": Path(sys.executable), "raw": Path(sys.executable)}
    for each in arguments.peer:
        name, _, python = each.partition("=")
        pythons[name] = Path(python)
    servers = Run.new()
    try:
        document = _document(arguments.file, servers, pythons, arguments)
        found = measure(servers, pythons, mode=arguments.mode, seed=arguments.seed)
    finally:
        servers.close()
    document["scale"] = msgspec.to_builtins(found)
    parse(document)
    arguments.file.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


def _document(
    file: Path, servers: Run, pythons: Mapping[str, Path], arguments: argparse.Namespace
) -> dict[str, Any]:
    if file.exists():
        return json.loads(file.read_text("utf-8"))
    new = Results(
        schema=SCHEMA,
        made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        mode=arguments.mode,
        version=importlib.metadata.version("hawkapi-sqlalchemy"),
        seed=arguments.seed,
        conditions=conditions(servers, pythons),
    )
    return msgspec.to_builtins(new)
