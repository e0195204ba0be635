"""Event loops that come and go: nothing is left behind in them, and no connection on a server."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hawkapi import testing
from sqlalchemy import select

from asgi import until
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import Database, DatabaseConfig, ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.replication.mariadb import MariaDBReplication
from hawkapi_sqlalchemy.core.routing.replication.postgresql import PostgreSQLReplication
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until
from replica_service.application import Item, create_app
from replica_service.settings import Settings
from under_load import KEY, fill

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

KINDS = {"postgresql": PostgreSQLReplication, "mariadb": MariaDBReplication}

SCRIPT = """
import asyncio, sys
from sqlalchemy import text
from hawkapi_sqlalchemy.core import Database, DatabaseConfig

async def main(dispose):
    primary, *replicas = map(DatabaseConfig, sys.argv[2:])
    database = Database.from_configs({"primary": primary, "replica": replicas})
    async with database.session("replica", commit=False) as session:
        print(await session.scalar(text("SELECT value FROM items")))
    if dispose:
        await database.dispose()
        print(len(asyncio.all_tasks()))

asyncio.run(main(sys.argv[1] == "dispose"))
"""


@pytest.fixture
def cluster(spare_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the item, to which nobody is connected in the end."""
    fill(spare_cluster)
    yield spare_cluster
    for server in spare_cluster.servers:
        wait_until(
            lambda: server.count_connections(spare_cluster.database) == 0,  # noqa: B023  # called here
            what=f"nobody is connected to port {server.port}",
        )


def new_database(cluster: Cluster) -> Database:
    replicas = [DatabaseConfig(url) for url in cluster.replica_urls]
    return Database.from_configs(
        {"primary": DatabaseConfig(cluster.primary_url), "replica": replicas}
    )


async def read(database: Database) -> str | None:
    async with database.session("replica", commit=False) as session:
        return await session.scalar(select(Item.value).where(Item.key == KEY))


@pytest.fixture
def nothing_is_said(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Neither asyncio nor SQLAlchemy complains; what the collector says is an error anyway."""
    yield
    gc.collect()
    complaints = [each for each in caplog.records if not each.name.startswith("hawkapi")]
    assert [each.getMessage() for each in complaints] == []


async def others() -> set[asyncio.Task]:
    """Answer what runs beside this task."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def test_one_database_serves_one_loop_after_the_other(cluster: Cluster) -> None:
    database = new_database(cluster)

    async def last() -> str | None:
        value = await read(database)
        await database.dispose()
        assert await others() == set()
        return value

    assert asyncio.run(read(database)) == "value"
    # In the second loop what was known of the replicas is asked for anew.
    assert asyncio.run(read(database)) == "value"
    assert {each.state for each in database.replicas.values()} == {"up"}
    assert asyncio.run(last()) == "value"


def test_a_replica_that_dies_between_two_loops_is_noticed_by_nobody(cluster: Cluster) -> None:
    database = new_database(cluster)
    for dead in cluster.replicas:
        assert asyncio.run(read(database)) == "value"
        dead.kill()
        assert [asyncio.run(read(database)) for _ in range(3)] == ["value"] * 3
    for each in cluster.replicas:
        each.start()
    asyncio.run(database.dispose())


@pytest.mark.usefixtures("nothing_is_said")
def test_a_loop_that_ends_in_the_middle_of_a_look_leaves_no_connection(
    cluster: Cluster, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`asyncio.run` cancels the look, and whatever the look is made of."""
    kind = KINDS[dialect]
    ask = kind.replica

    async def read_and_leave() -> str | None:
        value = await read(database)
        under_way = asyncio.Event()

        async def hang(*_: Any) -> None:
            under_way.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(kind, "replica", hang)
        await under_way.wait()
        return value

    database = new_database(cluster)
    database.use_replicas(ReplicaPolicy(probe_interval=0.05))
    for _ in range(3):
        monkeypatch.setattr(kind, "replica", ask)
        assert asyncio.run(read_and_leave()) == "value"
    asyncio.run(database.dispose())


@pytest.mark.usefixtures("nothing_is_said")
@pytest.mark.parametrize("end", ["close", "leave", "forget"])
def test_a_loop_that_stops_in_the_middle_of_looks_leaves_nothing(
    end: str, cluster: Cluster
) -> None:
    database = new_database(cluster)
    database.use_replicas(ReplicaPolicy(probe_interval=0.05, probe_timeout=30.0))
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(read(database)) == "value"
    for each in cluster.replicas:
        each.pause()
    try:
        # Each look has sent its statement by then.
        reads: Any = database._replication.reads
        looking = [each._looks for each in reads.replicas._replicas]
        loop.run_until_complete(until(lambda: all(each.is_under_way for each in looking)))
        loop.run_until_complete(asyncio.sleep(0.05))
        if end == "close":
            loop.close()
    finally:
        for each in cluster.replicas:
            each.resume()
    if end == "forget":
        loop.close()
        del database, reads, looking
        gc.collect()
        database = new_database(cluster)
    assert asyncio.run(read(database)) == "value"
    asyncio.run(database.dispose())
    # What was forgotten closes its connections when it is collected.
    gc.collect()
    loop.close()


def test_a_synchronous_test_client_reads_from_replicas(cluster: Cluster) -> None:
    app = create_app(Settings(primary=cluster.primary_url, replicas=cluster.replica_urls))
    client = testing.TestClient(app)
    ports = {each.port for each in cluster.replicas}

    for _ in range(3):
        reply = client.get(f"/items?key={KEY}")
        assert reply.status_code == 200
        assert reply.json()["port"] in ports
    asyncio.run(app.state.db.dispose())
    # HawkAPI leaves it open.
    client._loop.close()


@pytest.mark.parametrize("end", ["dispose", "forget"])
def test_a_script_ends_without_a_word_and_without_a_task(end: str, cluster: Cluster) -> None:
    urls = [cluster.primary_url, *cluster.replica_urls]
    command = [sys.executable, "-W", "error", "-c", SCRIPT, end, *urls]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ""
    # The last task is the script itself.
    assert ran.stdout == ("value\n1\n" if end == "dispose" else "value\n")
    assert ran.returncode == 0
