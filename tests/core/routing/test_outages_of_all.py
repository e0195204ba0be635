"""No replica serves: the primary stands in within a bound, or nobody, or a replica that lags."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import DEADLINE, until
from dbservers.at_once import at_once
from dbservers.clusters import Cluster
from replica_service.application import Item
from under_load import CLIENTS, IMPATIENT, KEY, Service, fill, running, started

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

SPILL = 3


async def stop_replicas(cluster: Cluster) -> None:
    await asyncio.to_thread(at_once, lambda each: each.stop(), cluster.replicas)


async def start_replicas(cluster: Cluster) -> None:
    await asyncio.to_thread(at_once, lambda each: each.start(), cluster.replicas)


async def read(session: AsyncSession) -> str | None:
    return await session.scalar(select(Item.value).where(Item.key == KEY))


async def on_primary(service: Service) -> int:
    """Count the application's connections to the primary."""
    primary = service.cluster.primary
    return await asyncio.to_thread(primary.count_connections, service.cluster.database)


async def test_the_primary_stands_in_without_a_failure_until_the_replicas_are_back(
    spare_cluster: Cluster,
) -> None:
    policy = IMPATIENT | {"max_spill": SPILL}
    async with running(spare_cluster, policy=policy) as service, service.load() as load:
        both = service.port(0), service.port(1)
        await load.until_served_by(*both)
        before = await on_primary(service)

        await stop_replicas(spare_cluster)
        await service.until_down(0, 1)
        await load.until_served_by(spare_cluster.primary.port)
        assert await on_primary(service) <= before + SPILL
        await start_replicas(spare_cluster)
        await service.until_up(0, 1)
        await load.until_served_by(*both)
    assert load.failures == []


async def test_no_more_readers_than_the_cap_are_on_the_primary_and_the_others_wait(
    spare_cluster: Cluster,
) -> None:
    policy = IMPATIENT | {"max_spill": SPILL}
    async with running(spare_cluster, policy=policy) as service:
        before = await on_primary(service)
        await stop_replicas(spare_cluster)
        await service.until_down(0, 1)
        inside, values, leave = 0, [], asyncio.Event()

        async def reader() -> None:
            nonlocal inside
            async with service.database.session("replica", commit=False) as session:
                values.append(await read(session))
                inside += 1
                await leave.wait()

        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(reader())
            await until(lambda: inside == SPILL)
            assert await on_primary(service) == before + SPILL
            assert inside == SPILL
            leave.set()
        assert values == ["value"] * CLIENTS


async def test_where_nobody_shall_stand_in_requests_are_refused_until_a_replica_is_back(
    spare_cluster: Cluster,
) -> None:
    policy = IMPATIENT | {"when_all_down": "error"}
    async with running(spare_cluster, policy=policy) as service, service.client() as client:
        await stop_replicas(spare_cluster)
        unheard = await client.read(KEY)
        await service.until_down(0, 1)
        down = await client.read(KEY)

        for refused in (unheard, down):
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["status"] == 503
        assert (await client.send("GET", "/primary-items", key=KEY)).status_code == 200

        await asyncio.to_thread(spare_cluster.replicas[1].start)
        await service.until_up(1)
        assert (await client.read(KEY)).json()["port"] == service.port(1)


async def test_the_best_that_is_left_is_a_replica_that_lags_and_then_the_primary(
    spare_cluster: Cluster,
) -> None:
    policy = IMPATIENT | {"when_all_down": "best_effort"}
    async with running(spare_cluster, policy=policy) as service, service.load() as load:
        await load.until_served_by(service.port(0), service.port(1))

        await asyncio.to_thread(spare_cluster.pause_replay)
        await service.until_down(0, 1)
        await load.until_served_by(service.port(0), service.port(1))
        await asyncio.to_thread(spare_cluster.replicas[0].stop)
        await load.until_served_by(service.port(1))
        await asyncio.to_thread(spare_cluster.replicas[1].stop)
        await load.until_served_by(spare_cluster.primary.port)
    assert load.failures == []


@pytest.mark.parametrize(
    ("which", "silent"), [((0,), False), ((0, 1), True)], ids=["one stopped", "all silent"]
)
async def test_an_application_starts_at_once_without_replicas_which_join_later(
    which: tuple[int, ...], silent: bool, spare_cluster: Cluster
) -> None:
    harmed = [spare_cluster.replicas[each] for each in which]
    ports = {each.port for each in spare_cluster.servers if each not in harmed}
    if len(ports) > 1:
        ports.remove(spare_cluster.primary.port)
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(fill, spare_cluster)
    for each in harmed:
        await asyncio.to_thread(each.pause if silent else each.stop)
    begin = loop.time()
    options = {"startup_timeout": 30.0}
    async with started(spare_cluster, policy=IMPATIENT, options=options) as service:
        assert loop.time() - begin < 5.0
        async with service.load() as load:
            await load.until_served_by(*ports)
            for each in harmed:
                await asyncio.to_thread(each.resume if silent else each.start)
            await service.until_up(*which)
            await load.until_served_by(service.port(0), service.port(1))
    assert load.failures == []
