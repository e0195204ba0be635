"""One virtual environment a peer, rebuilt when what it is made from changes.

The standard library is enough for this file: it also makes the environment of the harness.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.errors import BenchmarkError
from harness.paths import BENCHMARKS, ENVIRONMENTS, PACKAGES, PEERS

_STAMP = "benchmark-stamp"
_LINES_SHOWN = 15


class Environment:
    """A virtual environment, made when it is asked for.

    Args:
        name: Its folder below `benchmarks/.environments`.
        requirements: What is installed.
        ours: Whether this tree's packages are built and installed too.
    """

    def __init__(self, name: str, requirements: Path, *, ours: bool = False) -> None:
        self.name = name
        self.folder = ENVIRONMENTS / name
        self._requirements = requirements
        self._ours = ours

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def is_current(self) -> bool:
        """Whether it exists, made from what is there now."""
        stamp = self.folder / _STAMP
        return stamp.exists() and stamp.read_text() == self._fingerprint()

    def prepare(self) -> None:
        """Make the environment, unless it is there and current.

        Raises:
            BenchmarkError: An installer failed; the message holds its last lines.
        """
        fingerprint = self._fingerprint()
        if self.is_current:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        ENVIRONMENTS.mkdir(exist_ok=True)
        uv = _uv()
        if uv:
            _run([uv, "venv", "--quiet", "--python", sys.executable, str(self.folder)], self.name)
        else:
            _run([sys.executable, "-m", "venv", str(self.folder)], self.name)
        wheels = self._build(uv) if self._ours else []
        # All in one go: the packages need each other at their own version, which no index has.
        self._install(uv, ["-r", str(self._requirements), *map(str, wheels)])
        (self.folder / _STAMP).write_text(fingerprint)

    def _build(self, uv: str | None) -> list[Path]:
        # Built, not installed from the folders: inside a workspace uv would install them editable.
        wheels = self.folder / "wheels"
        packages = [str(each.parent) for each in sorted(PACKAGES.glob("*/pyproject.toml"))]
        if uv:
            for package in packages:
                _run([uv, "build", "--quiet", "--wheel", "-o", str(wheels), package], self.name)
        else:
            pip = [str(self.python), "-m", "pip", "wheel", "--quiet", "--no-deps"]
            _run([*pip, "-w", str(wheels), *packages], self.name)
        return sorted(wheels.glob("*.whl"))

    def _install(self, uv: str | None, what: list[str]) -> None:
        if uv:
            # Compiled once, so that no start of a peer compiles.
            install = [uv, "pip", "install", "--quiet", "--compile-bytecode"]
            _run([*install, "-p", str(self.python), *what], self.name)
        else:
            pip = [str(self.python), "-m", "pip", "--disable-pip-version-check", "install"]
            _run([*pip, "--quiet", *what], self.name)

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(sys.version.encode())
        for file in _files(self._requirements, ours=self._ours):
            digest.update(str(file.relative_to(BENCHMARKS.parent)).encode())
            digest.update(file.read_bytes())
        return digest.hexdigest()


def harness_environment() -> Environment:
    """The environment of the harness itself."""
    return Environment("harness", BENCHMARKS / "requirements.txt")


def peer_environment(name: str) -> Environment:
    """The environment of a peer."""
    return Environment(name, PEERS / name / "requirements.txt", ours=name == "ours")


def _files(requirements: Path, *, ours: bool) -> Iterator[Path]:
    yield from _included(requirements)
    if ours:
        for package in sorted(PACKAGES.glob("*/pyproject.toml")):
            yield package
            yield from sorted(
                each for each in (package.parent / "src").rglob("*.py*") if each.suffix != ".pyc"
            )


def _included(requirements: Path) -> Iterator[Path]:
    yield requirements
    for line in requirements.read_text().splitlines():
        option, _, other = line.partition(" ")
        if option == "-r":
            yield from _included((requirements.parent / other.strip()).resolve())


@functools.cache
def _uv() -> str | None:
    """Find uv. One that is found may still be a shim that leads nowhere."""
    found = shutil.which("uv")
    beside = Path(sys.executable).with_name("uv")
    for candidate in (found, str(beside)):
        if candidate and _works(candidate):
            return candidate
    return None


def _works(program: str) -> bool:
    try:
        return (
            subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        return False


def clean_variables() -> dict[str, str]:
    """Return this process's variables without what would change another Python's behaviour.

    `PYTHONDONTWRITEBYTECODE` above all: each start would compile what it imports.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name != "VIRTUAL_ENV" and not name.startswith("PYTHON")
    }


def _run(argv: Iterable[str], name: str) -> None:
    ended = subprocess.run(
        list(argv),
        env=clean_variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if ended.returncode:
        tail = "\n  ".join(ended.stdout.strip().splitlines()[-_LINES_SHOWN:])
        raise BenchmarkError(
            f"the environment of {name!r} could not be made:\n  {tail}\n",
            "see what the installer says above; a package index must be reachable",
        )
