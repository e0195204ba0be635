"""A session that reads from a replica until it writes, and loses a connection on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hawkapi import HawkAPI
from sqlalchemy import event, insert, select
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import until
from authors import COUNT, Author
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import DatabaseConfig, ReplicaPolicy, get_replica_session
from routed import Sent, application, configs
from wire import tapped

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

SOON = ReplicaPolicy(probe_interval=0.05, max_backoff=0.1)
TIMES = 5
"""In which order SQLAlchemy ends a transaction's connections is a matter of chance."""


@pytest.fixture
async def shop(stocked: Cluster, sent: Sent) -> AsyncIterator[HawkAPI]:
    """An application that notices soon that a replica serves again."""
    async with application(configs(stocked), replicas=SOON) as app:
        sent.take()
        yield app


type Losing = Callable[[], Awaitable[None]]


@pytest.fixture
def lose(sent: Sent, stocked: Cluster) -> Losing:
    """End all connections with the replica that was read from last."""

    async def lose() -> None:
        names = [name for name, _ in sent.all if name != "primary"]
        server = stocked.replicas[int(names[-1].removeprefix("replica:"))]
        await asyncio.to_thread(server.disconnect, stocked.database)

    return lose


async def until_one_serves(app: HawkAPI) -> None:
    await until(lambda: any(each.state == "up" for each in app.state.db.replicas.values()))


async def read_and_lose(lose: Losing, session: AsyncSession) -> None:
    await session.scalar(COUNT)
    await lose()
    await session.scalar(COUNT)


async def test_what_is_written_after_the_replica_was_lost_is_stored_and_acknowledged(
    shop, sent, lose, request_to, stored
):
    async def work(session):
        await read_and_lose(lose, session)
        session.add(Author(name="ada"))

    for number in range(TIMES):
        await until_one_serves(shop)
        assert (await request_to(shop, work)).status == 200
        assert await stored() == ["ada"] * (number + 1)


async def test_so_it_is_after_the_replica_itself_has_died(shop, sent, stocked, request_to, stored):
    async def kill():
        await asyncio.to_thread(stocked.replicas[int(sent.all[-1][0][-1])].kill)

    async def work(session):
        await read_and_lose(kill, session)
        session.add(Author(name="ada"))

    assert (await request_to(shop, work)).status == 200
    assert await stored() == ["ada"]


@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transaction"])
async def test_nothing_of_the_replica_is_needed_for_a_commit(
    stocked, sent, lose, request_to, stored, autocommit
):
    async def work(session):
        await session.scalar(COUNT)
        await session.execute(insert(Author).values(name="ada"))
        await lose()

    async with application(configs(stocked, autocommit_reads=autocommit), replicas=SOON) as app:
        for number in range(TIMES):
            await until_one_serves(app)
            sent.take()
            assert (await request_to(app, work)).status == 200
            assert await stored() == ["ada"] * (number + 1)


async def test_a_session_of_the_replica_may_commit_after_the_replica_was_lost(
    shop, lose, request_to
):
    async def work(session):
        await read_and_lose(lose, session)
        await session.commit()
        await session.scalar(COUNT)

    for _ in range(TIMES):
        await until_one_serves(shop)
        assert (await request_to(shop, work, get_replica_session)).status == 200


@pytest.mark.parametrize("writes", [True, False])
async def test_the_replica_hears_nothing_of_a_commit(stocked, request_to, writes):
    async with tapped(stocked.replica_urls[0]) as wire:
        databases = {
            "primary": DatabaseConfig(stocked.primary_url),
            "replica": DatabaseConfig(wire.url),
        }
        async with application(databases) as app:

            async def work(session):
                assert await session.scalar(COUNT) == 3
                assert any("authors" in each for each in wire.statements)
                wire.clear()
                if writes:
                    session.add(Author(name="ada"))

            assert (await request_to(app, work)).status == 200
            assert not {"COMMIT", "ROLLBACK"} & set(wire.statements)


async def test_a_connection_of_the_primary_that_is_lost_is_held_against_no_replica(
    shop, sent, stocked, request_to, stored, caplog
):
    async def flush(session):
        session.add(Author(name="ada"))
        await session.flush()

    async def write_only(session):
        await flush(session)
        await lose_and_read(session)

    async def read_before(session):
        await session.scalar(COUNT)
        await flush(session)
        await lose_and_read(session)

    async def lose_and_read(session):
        await asyncio.to_thread(stocked.primary.disconnect, stocked.database)
        with pytest.raises(DBAPIError):
            await session.scalar(COUNT)
        # The transaction is gone: going on elsewhere would store a part of it.
        with pytest.raises(PendingRollbackError):
            await session.scalar(COUNT)

    for work in (write_only, read_before):
        assert (await request_to(shop, work, status=503)).status == 503
    assert "taken out" not in caplog.text
    assert await stored() == []


async def test_its_first_statement_runs_once_more_if_the_primary_s_connection_was_lost(
    shop, stocked, request_to, caplog
):
    left = 0

    def lose(*_: object) -> None:
        nonlocal left
        if left:
            left -= 1
            stocked.primary.disconnect(stocked.database)

    async def lock(session):
        assert len((await session.scalars(select(Author).with_for_update())).all()) == 3

    engine = shop.state.db.engines["primary"].engine.sync_engine
    event.listen(engine, "before_cursor_execute", lose)
    for times, status in ((1, 200), (2, 503)):
        left = times
        assert (times, (await request_to(shop, lock)).status) == (times, status)
        assert left == 0
    assert "taken out" not in caplog.text
