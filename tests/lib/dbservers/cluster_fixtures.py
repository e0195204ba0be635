"""The fixtures of clusters: a primary with two replicas."""

from collections.abc import Callable, Iterator

import pytest

from dbservers.clusters import Cluster
from dbservers.missing import require
from dbservers.run import Run
from dbservers.server import replicated_name


@pytest.fixture
def own_cluster(dialect: str, server_run: Run) -> Iterator[Cluster]:
    """A primary and two replicas of the test's own, which it may stop, kill, promote and spoil."""
    cluster = _start(dialect, server_run)
    try:
        yield cluster
    finally:
        cluster.discard()


@pytest.fixture(scope="session")
def spare_clusters() -> Iterator[dict[str, Cluster]]:
    """The spare clusters of this process, by dialect."""
    clusters: dict[str, Cluster] = {}
    yield clusters
    for cluster in clusters.values():
        cluster.discard()


@pytest.fixture
def spare_cluster(
    dialect: str, server_run: Run, spare_clusters: dict[str, Cluster]
) -> Iterator[Cluster]:
    """A primary and two replicas with a fresh database, kept for this process's next test.

    The test may stop, kill and pause any of them and their replay, and leave them so. After a
    promotion they are thrown away. What `own_cluster` may do beyond: spoil settings and accounts.
    """
    if dialect not in spare_clusters:
        spare_clusters[dialect] = _start(dialect, server_run)
    cluster = spare_clusters[dialect]
    cluster.database = cluster.primary.create_database(replicated_name())
    cluster.wait_for_catch_up()
    yield cluster
    healed = False
    try:
        if healed := cluster.heal():
            # A connection left behind would hold the replay of the drop up.
            for server in cluster.replicas:
                server.disconnect(cluster.database)
            cluster.primary.drop_database(cluster.database)
    finally:
        if not healed:
            del spare_clusters[dialect]
            cluster.discard()


def _start(dialect: str, run: Run) -> Cluster:
    starters: dict[str, Callable[[], Cluster]] = {
        "postgresql": run.postgresql_cluster,
        "mariadb": run.mariadb_cluster,
    }
    return require(starters[dialect])
