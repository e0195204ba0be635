"""Replicas that stand still at the worst moment."""

import contextlib
from collections.abc import Iterator

from dbservers.clusters import Cluster
from dbservers.postgresql import PostgreSQLServer
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until


@contextlib.contextmanager
def held_before_commits(cluster: Cluster) -> Iterator[None]:
    """Have the replicas of a cluster show no further transaction.

    PostgreSQL's go on replaying what a transaction does, up to its COMMIT: a position that was
    asked for a moment too early is one that they get to.
    """
    if not isinstance(cluster.primary, PostgreSQLServer):
        cluster.pause_replay()
        try:
            yield
        finally:
            cluster.resume_replay()
            cluster.wait_for_catch_up()
        return
    _delay_commits(cluster, "1d")
    try:
        yield
    finally:
        _delay_commits(cluster, "0")
        cluster.wait_for_catch_up()


def _delay_commits(cluster: Cluster, delay: str) -> None:
    for server in cluster.replicas:
        server.execute(f"ALTER SYSTEM SET recovery_min_apply_delay = '{delay}'")
        server.execute("SELECT pg_reload_conf()")
    for server in cluster.replicas:
        wait_until(
            lambda server=server: server.execute("SHOW recovery_min_apply_delay") == [(delay,)],
            what=f"commits are replayed {delay} late",
        )
