"""All measurements of scale, one after the other."""

import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.scale import databases, memory, pool
from harness.scale.counters import MariaDBCounter, PostgreSQLCounter
from harness.scale.modes import MODES
from harness.scale.results import PoolPoint, Scale
from hawkapi_sqlalchemy.pytest.servers.run import Run

PEERS = ("ours", "raw", "published")


def measure(
    servers: Run,
    pythons: Mapping[str, Path],
    *,
    mode: str,
    seed: int,
    tell: Callable[[str], None] = print,
) -> Scale:
    """Measure pools, memory and many databases.

    Args:
        servers: Starts the servers.
        pythons: The interpreter of each peer's environment: `ours`, `raw`, and `published` where
            there is one.
        mode: `short` or `full`.
        seed: Of the order.
        tell: Told what is being done.
    """
    amount = MODES[mode]
    order = random.Random(seed)
    compared = {peer: pythons[peer] for peer in PEERS if peer in pythons}
    postgresql, mariadb = servers.postgresql(), servers.mariadb()
    sites = [
        pool.Site("postgresql", postgresql, PostgreSQLCounter(postgresql)),
        pool.Site("mariadb", mariadb, MariaDBCounter(mariadb)),
    ]
    points: list[PoolPoint] = []
    for site in sites:
        tell(f"scale: pools on {site.name}")
        points.extend(pool.measure(site, compared, amount, order))
    tell("scale: many databases")
    several = databases.measure(postgresql, pythons["ours"], amount, order)
    tell("scale: memory on postgresql")
    memories = [memory.measure("postgresql", postgresql.url(), pythons["ours"], amount)]
    tell("scale: memory on sqlite")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/memory.db"
        memories.append(memory.measure("sqlite", url, pythons["ours"], amount))
    return Scale(pool=points, memory=memories, databases=several)
