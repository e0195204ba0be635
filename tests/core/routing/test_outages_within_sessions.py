"""A replica fails, or cancels a statement, while a session is on it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from hawkapi import Depends
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import DEADLINE, call, until
from dbservers.clusters import Cluster
from dbservers.postgresql import PostgreSQLServer
from hawkapi_sqlalchemy.core import get_replica_session, session_for
from hawkapi_sqlalchemy.core.faults import Fault, fault_of
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until
from under_load import IMPATIENT, KEY, Service, running

PORT = {"postgresql": "SELECT inet_server_port()", "mariadb": "SELECT @@port"}
SESSIONS = {
    "autocommit": get_replica_session,
    "snapshot": session_for("replica", commit=False, snapshot=True),
}
both_servers = pytest.mark.dialects("postgresql", "mariadb")
only_postgresql = pytest.mark.dialects("postgresql")


@both_servers
@pytest.mark.parametrize("kind", SESSIONS)
async def test_between_two_statements_only_a_snapshot_is_lost_with_its_replica(
    kind: str, dialect: str, spare_cluster: Cluster
) -> None:
    by_port = {each.port: each for each in spare_cluster.replicas}
    async with running(spare_cluster, policy=IMPATIENT) as service:

        @service.app.get("/twice")
        async def twice(session: AsyncSession = Depends(SESSIONS[kind])) -> list[int]:
            first = await session.scalar(text(PORT[dialect]))
            await asyncio.to_thread(by_port[first].kill)
            return [first, await session.scalar(text(PORT[dialect]))]

        reply = await call(service.app, "GET", "/twice")

        if kind == "snapshot":
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        else:
            assert reply.status == 200
            first, second = reply.json()
            assert first in by_port
            assert second == spare_cluster.primary.port
        # Whoever comes next is served by the other replica.
        async with service.client() as client:
            assert (await client.read(KEY)).status_code == 200
        assert service.database.checked_out == 0


# On the primary it does not sleep, and answers what the replica would have.
SLOW = """
    SELECT (SELECT value FROM items WHERE key = 'item'),
        CASE WHEN pg_is_in_recovery() THEN pg_sleep(60)::text END,
        inet_server_port()
"""
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def lock(cluster: Cluster) -> None:
    """Have the replay ask for a lock that each reader of the table stands in the way of."""
    cluster.primary.execute("ALTER TABLE items ALTER COLUMN value SET NOT NULL", cluster.database)


def vacuum(cluster: Cluster) -> None:
    """Have the replay remove rows that older snapshots still see."""
    cluster.primary.execute("UPDATE items SET value = 'new'", cluster.database)
    cluster.primary.execute("VACUUM items", cluster.database)


VALUE = {lock: "value", vacuum: "new"}


@contextlib.asynccontextmanager
async def hasty(cluster: Cluster) -> AsyncIterator[Service]:
    """Run the application on standbys that wait for no reader."""
    for server in cluster.replicas:
        for setting in ("hot_standby_feedback = off", "max_standby_streaming_delay = 0"):
            server.execute(f"ALTER SYSTEM SET {setting}")
        server.execute("SELECT pg_reload_conf()")
    kept = "SELECT count(*) FROM pg_replication_slots WHERE xmin IS NOT NULL"
    wait_until(lambda: cluster.primary.execute(kept) == [(0,)], what="no standby is waited for")
    async with running(cluster, policy=IMPATIENT) as service:
        yield service


async def until_asleep(servers: list[PostgreSQLServer]) -> None:
    def sleeping() -> bool:
        return any(each.execute(ASLEEP)[0][0] for each in servers)

    await asyncio.to_thread(wait_until, sleeping, what="the statement runs")


@only_postgresql
async def test_what_the_replay_cancels_runs_again_on_the_primary_unless_it_is_part_of_a_snapshot(
    own_cluster: Cluster,
) -> None:
    cluster, primary = own_cluster, own_cluster.primary.port
    async with hasty(cluster) as service:
        # A statement that stands for itself, the first or not; and the first of a snapshot.
        for conflict in (lock, vacuum):
            for first, snapshot in (("", False), ("SELECT 1", False), ("", True)):
                answer = await cancelled(service, conflict, first=first, snapshot=snapshot)
                assert answer == (VALUE[conflict], None, primary)
        with pytest.raises(DBAPIError) as caught:
            await cancelled(service, vacuum, first="SELECT count(*) FROM items", snapshot=True)
        assert fault_of(caught.value) is Fault.SERIALIZATION
        assert service.database.checked_out == 0
        await service.until_up(0, 1)
        await ends_between_two_statements(service)


async def ends_between_two_statements(service: Service) -> None:
    """Have the replay end a snapshot that runs no statement just now: that is an error."""
    cluster = service.cluster

    @service.app.get("/twice")
    async def twice(session: AsyncSession = Depends(SESSIONS["snapshot"])) -> None:
        await session.execute(text("SELECT count(*) FROM items"))
        await asyncio.to_thread(lock, cluster)
        await asyncio.to_thread(cluster.wait_for_catch_up)
        await session.execute(text("SELECT count(*) FROM items"))

    reply = await call(service.app, "GET", "/twice")

    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    await until(lambda: service.database.checked_out == 0)


async def cancelled(
    service: Service, conflict: Callable[[Cluster], None], *, first: str, snapshot: bool = False
) -> tuple:
    """Run the slow statement on a replica, and have it cancelled there."""
    cluster = service.cluster
    await asyncio.to_thread(cluster.wait_for_catch_up)
    await service.until_up(0, 1)
    async with (
        asyncio.timeout(DEADLINE),
        service.database.session("replica", commit=False, snapshot=snapshot) as session,
    ):
        if first:
            await session.execute(text(first))
        statement = asyncio.create_task(session.execute(text(SLOW)))
        await until_asleep(cluster.replicas)
        await asyncio.to_thread(conflict, cluster)
        return tuple((await statement).one())
