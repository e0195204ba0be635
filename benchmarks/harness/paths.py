"""Where things are."""

from pathlib import Path

BENCHMARKS = Path(__file__).parents[1]
ROOT = BENCHMARKS.parent
PACKAGES = ROOT / "packages"
PEERS = BENCHMARKS / "peers"
WORKER = BENCHMARKS / "worker"
ENVIRONMENTS = BENCHMARKS / ".environments"
SERVER_LIBRARY = PACKAGES / "pytest" / "src"
