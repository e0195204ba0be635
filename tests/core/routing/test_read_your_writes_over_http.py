"""Clients of two processes see what they have written, while no replica shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from dbservers.clusters import Cluster
from replica_service.client import Client
from replica_service.fixtures import StartServices
from replica_service.processes import ServiceProcess

TOKENS: dict[str, Any] = {"secret": "s" * 32}
# Nothing but the tokens tells the processes that the replicas have stopped.
BLIND: dict[str, Any] = {"probe_interval": 300.0}

CLIENTS = 20


async def stale_reads(
    services: Sequence[ServiceProcess], rounds: int, *, tokens: bool = True
) -> int:
    """Let clients write and read at the same time, and count the reads that show no own write.

    Each client has a key of its own. Where it writes and where it reads changes from round to
    round, in all four combinations.
    """
    urls = [each.url for each in services]

    async def user(name: str, client: Client) -> int:
        stale = 0
        for turn in range(rounds // CLIENTS):
            stored = await client.store(name, f"{turn}", at=turn % 2)
            assert stored.status_code == 201, stored.text
            read = await client.read(name, at=turn // 2 % 2)
            assert read.status_code == 200, read.text
            stale += read.json()["value"] != f"{turn}"
        return stale

    async def one(number: int) -> int:
        carry = None if not tokens else "cookie" if number % 2 else "header"
        async with Client(urls, carry=carry) as client:
            return await user(f"{number}", client)

    async with asyncio.TaskGroup() as group:
        users = [group.create_task(one(number)) for number in range(CLIENTS)]
    return sum(each.result() for each in users)


async def states(services: Sequence[ServiceProcess]) -> set[str]:
    found: set[str] = set()
    async with Client([each.url for each in services]) as client:
        for place in range(len(services)):
            found |= {each["state"] for each in (await client.replicas(at=place)).values()}
    return found


async def test_no_read_is_stale_though_replicas_that_have_stopped_are_believed_to_serve(
    spare_cluster: Cluster, start_services: StartServices
) -> None:
    services = start_services(spare_cluster, 2, policy=BLIND, read_your_writes=TOKENS)
    spare_cluster.pause_replay()
    assert await stale_reads(services, rounds=400) == 0
    assert await states(services) == {"up"}
    # It is the tokens that have made the difference.
    assert await stale_reads(services, rounds=60, tokens=False) == 60


async def test_no_read_is_stale_while_replicas_that_have_stopped_are_found_out(
    spare_cluster: Cluster, start_services: StartServices
) -> None:
    services = start_services(spare_cluster, 2, read_your_writes=TOKENS)
    spare_cluster.pause_replay()
    stale = 0
    async with asyncio.timeout(30):
        while await states(services) != {"down"}:
            stale += await stale_reads(services, rounds=60)
    # And on the primary alone.
    stale += await stale_reads(services, rounds=60)
    assert stale == 0
