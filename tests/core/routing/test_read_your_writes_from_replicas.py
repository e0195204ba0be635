"""Replicas that keep up go on serving the clients that have written, at no further cost."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import pytest

from dbservers.clusters import Cluster
from replica_service.client import Client
from replica_service.fixtures import StartServices
from wire import Wire, tapped

TOKENS: dict[str, Any] = {"secret": "s" * 32}
READERS, ROUNDS, WRITERS = 8, 25, 2


async def test_while_others_write_replicas_serve_nearly_all_reads_of_those_who_have_written(
    spare_cluster: Cluster, start_services: StartServices
) -> None:
    services = start_services(spare_cluster, 2, read_your_writes=TOKENS)
    urls = [each.url for each in services]
    ports: Counter[int] = Counter()
    reading = True

    async def user(name: str) -> None:
        async with Client(urls) as client:
            for turn in range(ROUNDS):
                await client.store(name, f"{turn}", at=0)
                read = (await client.read(name, at=1)).json()
                assert read["value"] == f"{turn}"
                ports[read["port"]] += 1

    async def load(name: str) -> None:
        async with Client(urls, carry=None) as client:
            turn = 0
            while reading:
                turn += 1
                assert (await client.store(name, f"{turn}")).status_code == 201

    async with asyncio.TaskGroup() as writers:
        for number in range(WRITERS):
            writers.create_task(load(f"load {number}"))
        async with asyncio.TaskGroup() as readers:
            for number in range(READERS):
                readers.create_task(user(f"{number}"))
        reading = False

    assert ports.total() == READERS * ROUNDS
    assert ports[spare_cluster.primary.port] <= 0.05 * READERS * ROUNDS, ports
    assert len(ports - Counter({spare_cluster.primary.port: ports.total()})) == 2


async def test_a_write_is_shown_by_the_primary_first_and_by_replicas_that_have_caught_up(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(policy={"probe_interval": 300.0}, read_your_writes=TOKENS)
    async with here.client(carry="header") as first, here.client(carry="cookie") as second:
        spare_cluster.pause_replay()
        for number, client in enumerate((first, second)):
            await client.store(f"{number}", "1")
            read = (await client.read(f"{number}")).json()
            assert read == {"value": "1", "port": spare_cluster.primary.port}
        spare_cluster.resume_replay()
        spare_cluster.wait_for_catch_up()
        for number, client in enumerate((first, second)):
            read = (await client.read(f"{number}")).json()
            assert read["value"] == "1"
            assert read["port"] in {each.port for each in spare_cluster.replicas}


@pytest.fixture
async def taps(spare_cluster: Cluster):
    """Read along what goes to the primary, and to each replica."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(tapped(url))
            for url in (spare_cluster.primary_url, *spare_cluster.replica_urls)
        ]


async def test_a_read_that_need_not_wait_sends_nothing_but_its_statement(
    taps: list[Wire], start_here, spare_cluster: Cluster
) -> None:
    urls = {"primary": taps[0].url, "replicas": [each.url for each in taps[1:]]}
    quiet = {"policy": {"probe_interval": 300.0}, "read_your_writes": TOKENS}
    writing = await start_here(**urls, **quiet)
    async with writing.client() as writer:
        await writer.store("a", "1")
        spare_cluster.wait_for_catch_up()

        # One that has looked at the replicas since.
        reading = await start_here(**urls, **quiet)
        async with reading.client() as reader:
            # Connections are opened, and statements prepared.
            for _ in range(20):
                await reader.read("a")
            plain = await cost_of_reads(reader, taps)
            reader.token = writer.token
            tokened = await cost_of_reads(reader, taps)
        await reading.database.dispose()
    await writing.database.dispose()
    assert tokened == plain
    assert plain[0] == 0
    assert len(plain[2]) == 10


async def cost_of_reads(client: Client, taps: list[Wire]) -> tuple[int, int, list[str]]:
    """Round trips to the primary and to the replicas that ten reads need, and their statements."""
    for each in taps:
        each.clear()
    for _ in range(10):
        assert (await client.read("a")).json()["value"] == "1"
    primary, *replicas = taps
    statements = [each for tap in replicas for each in tap.statements]
    return primary.round_trips, sum(each.round_trips for each in replicas), statements


async def test_a_write_costs_one_round_trip_more(
    taps: list[Wire], start_here, spare_cluster: Cluster
) -> None:
    urls = {"primary": taps[0].url, "replicas": [each.url for each in taps[1:]]}
    quiet = {"policy": {"probe_interval": 300.0}}
    costs: list[int] = []
    for tokens in ({}, {"read_your_writes": TOKENS}):
        here = await start_here(**urls, **quiet, **tokens)
        async with here.client() as client:
            await client.store("a", "1")
            taps[0].clear()
            await client.store("a", "2")
            costs.append(taps[0].round_trips)
        await here.database.dispose()
    assert costs[1] == costs[0] + 1
