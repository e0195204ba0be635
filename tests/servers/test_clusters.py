"""`own_cluster` and `spare_cluster`: a primary and two replicas, which a test may harm."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from dbservers.clusters import Cluster, Server


@pytest.fixture
def noted(spare_cluster: Cluster) -> Cluster:
    """The spare cluster, with an empty table `notes` on all its servers."""
    return with_notes(spare_cluster)


def with_notes(cluster: Cluster) -> Cluster:
    cluster.primary.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)", cluster.database)
    cluster.wait_for_catch_up()
    return cluster


def insert(cluster: Cluster, note: int, server: Server | None = None) -> None:
    (server or cluster.leader).execute(f"INSERT INTO notes VALUES ({note})", cluster.database)


def notes(cluster: Cluster, which: int) -> list[int]:
    rows = cluster.replicas[which].execute("SELECT id FROM notes ORDER BY id", cluster.database)
    return [row[0] for row in rows]


def test_both_replicas_show_what_the_primary_committed(noted: Cluster) -> None:
    insert(noted, 1)
    noted.wait_for_catch_up()
    assert [notes(noted, 0), notes(noted, 1)] == [[1], [1]]


def test_each_server_has_its_url(spare_cluster: Cluster) -> None:
    urls = [spare_cluster.primary_url, *spare_cluster.replica_urls]
    assert urls == [each.url(spare_cluster.database) for each in spare_cluster.servers]
    assert len(set(urls)) == 3


def test_a_pause_holds_one_replica_back(noted: Cluster) -> None:
    noted.pause_replay(1)
    insert(noted, 1)
    noted.wait_for_catch_up(0)
    with pytest.raises(TimeoutError):
        noted.wait_for_catch_up(1, timeout=0.3)
    assert [notes(noted, 0), notes(noted, 1)] == [[1], []]
    noted.resume_replay()
    noted.wait_for_catch_up()
    assert notes(noted, 1) == [1]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_replica_that_returns_catches_up_by_itself(noted: Cluster, end: str) -> None:
    replica = noted.replicas[0]
    getattr(replica, end)()
    insert(noted, 1)
    noted.wait_for_catch_up(1)
    replica.start()
    noted.wait_for_catch_up()
    assert notes(noted, 0) == [1]


def test_replicas_follow_a_primary_that_was_killed_and_returns(noted: Cluster) -> None:
    insert(noted, 1)
    noted.primary.kill()
    noted.primary.start()
    insert(noted, 2)
    noted.wait_for_catch_up()
    assert [notes(noted, 0), notes(noted, 1)] == [[1, 2], [1, 2]]


async def test_a_replica_that_was_killed_still_refuses_writes(noted: Cluster) -> None:
    noted.replicas[0].kill()
    noted.replicas[0].start()
    engine = create_async_engine(noted.replica_urls[0])
    with pytest.raises(DBAPIError, match="read-only"):
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO notes VALUES (1)"))
    await engine.dispose()


def test_replicas_hold_the_databases_of_every_name(spare_cluster: Cluster) -> None:
    name = spare_cluster.primary.create_database()
    spare_cluster.primary.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY)", name)
    spare_cluster.wait_for_catch_up()
    for replica in spare_cluster.replicas:
        assert replica.execute("SELECT id FROM notes", name) == []
    spare_cluster.primary.drop_database(name)


@pytest.mark.parametrize("turn", ["harms", "finds it well"])
def test_a_spare_cluster_is_healed_for_the_next_test(noted: Cluster, turn: str) -> None:
    """Whichever of the two runs second finds servers that run, and replay."""
    insert(noted, 1)
    noted.wait_for_catch_up()
    noted.pause_replay(1)
    noted.replicas[0].kill()
    noted.primary.pause()


def test_the_other_replica_follows_a_promoted_one(own_cluster: Cluster) -> None:
    with_notes(own_cluster)
    own_cluster.primary.kill()
    own_cluster.promote(0)
    assert own_cluster.leader is own_cluster.replicas[0]
    insert(own_cluster, 1)
    own_cluster.wait_for_catch_up()
    assert notes(own_cluster, 1) == [1]
    assert not own_cluster.heal()


@pytest.mark.dialects("postgresql")
def test_a_replica_may_be_promoted_while_the_other_stays_with_the_old_primary(
    own_cluster: Cluster,
) -> None:
    with_notes(own_cluster)
    own_cluster.promote(0, others_follow=False)
    insert(own_cluster, 1)
    insert(own_cluster, 2, own_cluster.primary)
    own_cluster.wait_for_catch_up()
    assert [notes(own_cluster, 0), notes(own_cluster, 1)] == [[1], [2]]
