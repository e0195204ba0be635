"""System V shared memory, which outlives the processes that made it."""

import shutil
import subprocess
from pathlib import Path

_LINE_OF_THE_KEY = 6


def remove_leftovers(folder: Path) -> None:
    """Remove the segments of PostgreSQL servers below `folder` that were killed.

    A killed postmaster leaves one small segment and its `postmaster.pid`, which
    names it. All servers below `folder` must have ended.
    """
    ipcrm = shutil.which("ipcrm")
    for file in folder.rglob("postmaster.pid") if ipcrm else ():
        lines = file.read_text().splitlines()
        if len(lines) > _LINE_OF_THE_KEY and (key := lines[_LINE_OF_THE_KEY].split()):
            subprocess.run([str(ipcrm), "-m", key[-1]], capture_output=True, check=False)
