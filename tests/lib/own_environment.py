"""The environment of the tests, for benchmarks: it has what two of the peers need."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class OwnEnvironment:
    """Stands for the environment of a peer, which takes long to make.

    Args:
        name: The peer.
    """

    name: str
    python: Path = Path(sys.executable)
    is_current: bool = True
