"""Under which conditions a run was made."""

import os
import platform
import tomllib
from pathlib import Path

import psutil

from harness.paths import PACKAGES

_TOLD = (
    "advanced-alchemy",
    "aiomysql",
    "aiosqlite",
    "asyncpg",
    "fastapi",
    "fastapi-sqla",
    "granian",
    "hawkapi",
    "hawkapi-sqlalchemy",
    "litestar",
    "sqlalchemy",
    "starlette",
)


def version() -> str:
    """Return the version of the packages in this tree."""
    return tomllib.loads((PACKAGES / "meta" / "pyproject.toml").read_text())["project"]["version"]


def machine() -> dict[str, object]:
    """Describe the machine, without its name."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def told(packages: dict[str, str]) -> dict[str, str]:
    """Keep what matters of an environment's packages."""
    return {name: packages[name] for name in _TOLD if name in packages}


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
