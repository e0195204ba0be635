"""A flood of clients that wait for a replica: all see what they have written."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import event

from asgi import until
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.bind import PROBING_POOL

CLIENTS = 200
WAITERS = 5
LARGEST_POOL = PROBING_POOL["pool_size"] + PROBING_POOL["max_overflow"]


def following(wait: float) -> dict[str, Any]:
    return {
        "policy": {"probe_interval": 300.0, "max_waiters": WAITERS},
        "read_your_writes": {"secret": "s" * 32, "wait": wait},
        "config": {"pool_size": 5, "max_overflow": 0},
    }


class Probes:
    """How many connections looks at the replicas use at the same time, at most, for each."""

    def __init__(self, database: Database) -> None:
        self.most = 0
        self.all = 0
        for name in database.replicas:
            self._watch(database.engines[name].prober.sync_engine)

    def _watch(self, engine: Any) -> None:
        used = 0

        def out(*_: object) -> None:
            nonlocal used
            used += 1
            self.all += 1
            self.most = max(self.most, used)

        def back(*_: object) -> None:
            nonlocal used
            used -= 1

        event.listen(engine, "checkout", out)
        event.listen(engine, "checkin", back)


def waiting(database: Database) -> list[int]:
    return [each.waiting for each in database.replicas.values()]


async def test_those_who_wait_use_no_connection_and_the_others_read_from_the_primary(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(**following(wait=60.0))
    primary = here.database.engines["primary"]
    probes = Probes(here.database)

    async def read(number: int) -> None:
        replies.append((number, (await client.read(f"{number % 10}")).json()))

    async with here.client() as client:
        for number in range(10):
            await client.store(f"{number}", "0")
        spare_cluster.wait_for_catch_up()
        spare_cluster.pause_replay()
        for number in range(10):
            await client.store(f"{number}", f"{number}")
        replies: list[tuple[int, dict]] = []
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(read(number))
            served_at_once = CLIENTS - 2 * WAITERS
            await until(lambda: len(replies) == served_at_once)
            assert waiting(here.database) == [WAITERS, WAITERS]
            before = probes.all
            # They are at it for some time.
            await until(lambda: probes.all > before + 20)
            assert len(replies) == served_at_once
            assert here.database.checked_out == primary.checked_out == 0
            assert {reply["port"] for _, reply in replies} == {spare_cluster.primary.port}
            spare_cluster.resume_replay()
        late = [reply for _, reply in replies[served_at_once:]]
    assert [reply["value"] for number, reply in replies] == [f"{n % 10}" for n, _ in replies]
    assert {reply["port"] for reply in late} <= {each.port for each in spare_cluster.replicas}
    assert probes.most <= LARGEST_POOL
    assert waiting(here.database) == [0, 0]


async def test_those_who_wait_in_vain_read_from_the_primary(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(**following(wait=0.2))
    probes = Probes(here.database)
    spare_cluster.pause_replay()

    async def user(number: int) -> tuple[int, Any]:
        async with here.client() as client:
            await client.store(f"{number}", f"{number}")
            reply = await client.read(f"{number}")
            return reply.status_code, reply.json()

    async with asyncio.TaskGroup() as group:
        users = [group.create_task(user(number)) for number in range(CLIENTS)]
    assert [each.result() for each in users] == [
        (200, {"value": f"{number}", "port": spare_cluster.primary.port})
        for number in range(CLIENTS)
    ]
    assert probes.most <= LARGEST_POOL
    assert waiting(here.database) == [0, 0]
