"""Where a replica had got to is no longer believed when it may have crashed since."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core.routing.replica import Replica
from under_load import KEY, Service, running

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

# No look of the background's comes in between.
SELDOM = {"probe_interval": 60.0}


def replicas_of(service: Service) -> list[Replica]:
    routing: Any = service.database._replication
    return routing.reads.replicas._replicas


async def read(service: Service) -> None:
    async with service.client() as client:
        for _ in range(12):
            assert (await client.read(KEY)).status_code == 200


async def test_one_whose_connections_have_died_has_no_position_until_it_is_looked_at(
    spare_cluster: Cluster,
) -> None:
    async with running(spare_cluster, policy=SELDOM) as service:
        await read(service)
        replicas = replicas_of(service)
        assert all(each.position is not None for each in replicas)
        for server in spare_cluster.replicas:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        await read(service)
        # Nobody has noticed more than that a connection had to be opened anew.
        assert all(each.is_up and each.position is None for each in replicas)
        await asyncio.gather(*(each.look() for each in replicas))
        assert all(each.position is not None for each in replicas)


async def test_one_that_is_down_has_no_position(spare_cluster: Cluster) -> None:
    async with running(spare_cluster, policy=SELDOM) as service:
        await read(service)
        await asyncio.to_thread(spare_cluster.replicas[0].kill)
        await read(service)
        await service.until_down(0)
        down, up = replicas_of(service)
        assert down.position is None
        assert up.position is not None
