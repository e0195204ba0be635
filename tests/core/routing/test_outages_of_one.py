"""One of two replicas fails while clients read: no request fails, and it serves again later."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import event
from sqlalchemy.util import await_only

from asgi import until
from dbservers.clusters import Cluster
from under_load import CLIENTS, IMPATIENT, running

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

WITHOUT_PROBES = {"probe_interval": 60.0}
PAUSED = {"postgresql": "its replay is paused", "mariadb": "its SQL thread is stopped"}
COME_BACK = 5.0
"""Seconds after which a replica that takes connections again serves at the latest."""


async def test_a_killed_replica_is_left_without_a_failure_and_serves_again_within_seconds(
    spare_cluster: Cluster,
) -> None:
    async with running(spare_cluster) as service, service.load() as load:
        both = service.port(0), service.port(1)
        await load.until_served_by(*both)

        await asyncio.to_thread(spare_cluster.replicas[0].kill)
        await until(lambda: service.status(0).state != "up", 1.0)
        await load.until_served_by(service.port(1))
        await asyncio.to_thread(spare_cluster.replicas[0].start)
        await service.until_up(0, deadline=COME_BACK)
        await load.until_served_by(*both)
    assert load.failures == []


async def test_the_first_session_that_meets_a_dead_replica_has_it_taken_out(
    spare_cluster: Cluster,
) -> None:
    async with running(spare_cluster, policy=WITHOUT_PROBES) as service, service.load() as load:
        await load.until_served_by(service.port(0), service.port(1))

        await asyncio.to_thread(spare_cluster.replicas[0].kill)
        await until(lambda: service.status(0).state == "down", 5.0)
        await load.until_served_by(service.port(1))
    assert load.failures == []


@pytest.mark.dialects("postgresql")
async def test_a_replica_that_is_stopped_in_good_order_and_restarted_costs_no_request(
    spare_cluster: Cluster,
) -> None:
    async with running(spare_cluster, policy=IMPATIENT) as service, service.load() as load:
        both = service.port(0), service.port(1)
        await load.until_served_by(*both)

        await asyncio.to_thread(spare_cluster.replicas[1].stop)
        await service.until_down(1)
        await load.until_served_by(service.port(0))
        await asyncio.to_thread(spare_cluster.replicas[1].start)
        await service.until_up(1)
        await load.until_served_by(*both)
    assert load.failures == []


async def test_a_silent_replica_gets_no_session_after_one_probe_in_vain(
    spare_cluster: Cluster,
) -> None:
    """Those that it had already wait until it goes on; they are a few, not all."""
    async with running(spare_cluster, policy=IMPATIENT) as service, service.load() as load:
        both = service.port(0), service.port(1)
        await load.until_served_by(*both)

        spare_cluster.replicas[0].pause()
        try:
            # The probe under way, the interval, and the time limit of the next.
            await until(lambda: service.status(0).state != "up", 3.0)
            await service.until_down(0)
            assert "no answer within 1 s" in str(service.status(0).reason)
            served = service.status(0).served
            await load.until_served_by(service.port(1))
            assert service.status(0).served == served
            assert service.status(0).in_flight <= CLIENTS * 2 / 3
        finally:
            spare_cluster.replicas[0].resume()
        await service.until_up(0)
        await load.until_served_by(*both)
    assert load.failures == []


async def test_a_replica_whose_replay_stands_still_is_left_and_the_reason_told(
    dialect: str, spare_cluster: Cluster
) -> None:
    async with running(spare_cluster, policy=IMPATIENT) as service, service.load() as load:
        both = service.port(0), service.port(1)
        await load.until_served_by(*both)

        await asyncio.to_thread(spare_cluster.pause_replay, 1)
        await service.until_down(1)
        assert service.status(1).reason == PAUSED[dialect]
        await load.until_served_by(service.port(0))
        await asyncio.to_thread(spare_cluster.resume_replay, 1)
        await service.until_up(1)
        assert service.status(1).reason is None
        await load.until_served_by(*both)
    assert load.failures == []


async def test_a_replica_whose_connections_open_slowly_serves_all_the_same(
    spare_cluster: Cluster,
) -> None:
    def delay(*_: object) -> None:
        await_only(asyncio.sleep(0.3))

    async with running(spare_cluster, policy=IMPATIENT | {"probe_timeout": 0.15}) as service:
        await service.until_up(0)
        replica = service.database.get("replica:0")
        event.listen(replica.prober.sync_engine, "connect", delay)

        await asyncio.to_thread(spare_cluster.replicas[0].kill)
        await service.until_down(0)
        await asyncio.to_thread(spare_cluster.replicas[0].start)
        await service.until_up(0)
