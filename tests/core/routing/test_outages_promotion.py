"""A standby is promoted while clients write and read what they have written.

Replication is synchronous, so that an acknowledged COMMIT is on the standbys too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import make_url

from asgi import DEADLINE, until
from dbservers.clusters import Cluster
from dbservers.postgresql import PostgreSQLServer
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until
from replica_service.client import Client
from under_load import IMPATIENT, KEY, Service, fill, started

pytestmark = pytest.mark.dialects("postgresql")

USERS = 8
ENOUGH = 10
"""Writes of each user to wait for, before and after."""
READ_YOUR_WRITES = {"secret": "s" * 32, "wait": 5.0}
"""It is noticed if somebody waits in vain."""
AT_ONCE = 2.5


def both(cluster: Cluster) -> str:
    """Make a URL of the primary and of the standby that will be promoted."""
    hosts = [f"{each.host}:{each.port}" for each in (cluster.replicas[0], cluster.primary)]
    query = {"host": hosts, "target_session_attrs": "read-write"}
    url = make_url(cluster.primary_url).set(host=None, port=None).update_query_dict(query)
    return url.render_as_string(hide_password=False)


def set_option(server: PostgreSQLServer, name: str, value: str) -> None:
    server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.execute("SELECT pg_reload_conf()")


def replicate_synchronously(cluster: Cluster) -> None:
    set_option(cluster.primary, "synchronous_standby_names", "FIRST 2 (*)")
    state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
    wait_until(lambda: cluster.primary.execute(state) == [(2,)], what="standbys are synchronous")


def switch_over(cluster: Cluster) -> None:
    """The old primary goes on, and the other standby follows it still."""
    set_option(cluster.primary, "default_transaction_read_only", "on")
    writing = "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
    wait_until(lambda: cluster.primary.execute(writing) == [(0,)], what="nobody writes")
    cluster.promote(0, others_follow=False)


def crash(cluster: Cluster) -> None:
    cluster.primary.kill()
    cluster.promote(0, others_follow=False)


@dataclass
class User:
    """Somebody who writes, and reads what was written last.

    Attributes:
        name: The item's key.
        client: Keeps the tokens.
        stored: The number that was acknowledged last.
        sent: The number that was sent last.
        good: How often a write was acknowledged and read back.
        statuses: What was answered to writes, and to reads.
        wrong: Reads that had not the last write.
        port: Who took the last write.
    """

    name: str
    client: Client
    stored: int = 0
    sent: int = 0
    good: int = 0
    port: int = 0
    writes: set[int] = field(default_factory=set)
    reads: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    readers: set[int] = field(default_factory=set)
    ended: bool = False

    async def work(self) -> None:
        """Write and read until the end."""
        while not self.ended:
            self.sent += 1
            written = await self.client.store(self.name, str(self.sent))
            self.writes.add(written.status_code)
            if written.status_code == 201:
                self.stored, self.port = self.sent, written.json()["port"]
            if self.stored:
                await self._read()
            if written.status_code == 201:
                self.good += 1
            await asyncio.sleep(0.005)

    async def _read(self) -> None:
        reply = await self.client.read(self.name)
        self.reads.add(reply.status_code)
        if reply.status_code != 200:
            self.wrong.append(f"{reply.status_code}: {reply.text}")
            return
        self.readers.add(reply.json()["port"])
        # What was refused may be stored all the same, and be seen.
        if not self.stored <= int(reply.json()["value"] or 0) <= self.sent:
            self.wrong.append(f"{reply.json()} instead of {self.stored}")


async def until_all_write(users: list[User], port: int) -> None:
    before = {each.name: each.good for each in users}

    def served() -> bool:
        return all(each.good - before[each.name] >= ENOUGH for each in users) and {
            each.port for each in users
        } == {port}

    await until(served, 1.5 * DEADLINE)


@pytest.mark.parametrize("fail_over", [switch_over, crash])
async def test_clients_see_what_they_wrote_through_a_promotion_and_replicas_of_the_past_are_left(
    fail_over: Callable[[Cluster], None], own_cluster: Cluster
) -> None:
    cluster = own_cluster
    await asyncio.to_thread(fill, cluster)
    await asyncio.to_thread(replicate_synchronously, cluster)
    promoted, left_behind = (each.port for each in cluster.replicas)
    policy = IMPATIENT | {"max_lag_seconds": 1.0}
    settings = {"primary": both(cluster), "read_your_writes": READ_YOUR_WRITES, "policy": policy}
    async with started(cluster, **settings) as service:
        users = [User(f"user{n}", service.client()) for n in range(USERS)]
        async with service.client() as traveller, asyncio.TaskGroup() as group:
            for each in users:
                group.create_task(each.work())
            await until_all_write(users, cluster.primary.port)
            assert {port for each in users for port in each.readers} >= {promoted, left_behind}
            await traveller.store("past", "value")

            await asyncio.to_thread(fail_over, cluster)
            await until_all_write(users, promoted)
            await service.until_down(0)
            assert service.status(0).reason == "it is not in recovery: its role has changed"
            await service.until_down(1)

            for each in users:
                each.readers.clear()
            await assert_served_at_once(service, traveller, promoted)
            await until_all_write(users, promoted)
            assert {port for each in users for port in each.readers} == {promoted}

            # It belongs to the readers again once it follows the new primary.
            await asyncio.to_thread(cluster.replicas[1].follow, cluster.replicas[0])
            await asyncio.to_thread(checkpoints, cluster)
            await service.until_up(1)
            await until(lambda: any(left_behind in each.readers for each in users))
            for each in users:
                each.ended = True
    for each in users:
        await each.client.close()
        assert each.writes <= {201, 503}
        assert each.wrong == []
    assert await asyncio.to_thread(stored_too_little, cluster, users) == []


async def assert_served_at_once(service: Service, traveller: Client, port: int) -> None:
    """A token of the old timeline leads nowhere but to the primary, and nobody waits for it."""
    loop = asyncio.get_running_loop()
    old = traveller.token
    for _ in range(10):
        traveller.token = old
        begin = loop.time()
        reply = await traveller.read("past")
        assert loop.time() - begin < AT_ONCE
        assert (reply.status_code, reply.json()) == (200, {"value": "value", "port": port})
    async with service.client() as stranger:
        assert (await stranger.read(KEY)).json() == {"value": "value", "port": port}


def checkpoints(cluster: Cluster) -> None:
    """Have the standby write down which timeline it is on, which it does now and then."""
    primary, standby = cluster.replicas
    primary.execute("CHECKPOINT")
    standby.wait_for_position(primary.position(), 30.0)
    standby.execute("CHECKPOINT")


def stored_too_little(cluster: Cluster, users: list[User]) -> list[str]:
    found = dict(cluster.leader.execute("SELECT key, value FROM items", cluster.database))
    return [each.name for each in users if int(found[each.name]) < each.stored]
