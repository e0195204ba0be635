"""What a run of scale alone was made on."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbservers.run import Run
from harness.report.results import Conditions

_NAMES = (
    "hawkapi",
    "hawkapi-sqlalchemy",
    "hawkapi-sqlalchemy-core",
    "sqlalchemy",
    "asyncpg",
    "aiomysql",
    "aiosqlite",
)
_ASK = """
import importlib.metadata, json, sys
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def conditions(servers: Run, pythons: Mapping[str, Path]) -> Conditions:
    """Describe the machine, the servers, and the environments of the peers.

    Args:
        servers: The servers.
        pythons: The interpreter of each peer's environment.
    """
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Conditions(
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        memory_gib=pages * page / 2**30,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        servers={
            "postgresql": servers.postgresql().execute("SHOW server_version")[0][0].split()[0],
            "mariadb": servers.mariadb().execute("SELECT version()")[0][0].partition("-")[0],
        },
        packages={peer: _packages(python) for peer, python in pythons.items()},
    )


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    for line in file.read_text("utf-8").splitlines() if file.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _packages(python: Path) -> dict[str, Any]:
    told = subprocess.run(
        [str(python), "-c", _ASK, *_NAMES], check=True, capture_output=True, text=True
    )
    return json.loads(told.stdout)
