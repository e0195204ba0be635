"""Where a read that its connection did not live to answer runs again, and how often."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import event, make_url
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession

from authors import COUNT, Author
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import CannotConnectError, Database, DatabaseConfig, ReplicaPolicy
from hawkapi_sqlalchemy.core.routing.freshness import Freshness, current_freshness
from routed import Sent
from tcp_proxy import Proxy, proxy_to

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

SELDOM = ReplicaPolicy(probe_interval=60)
"""Nothing of what is seen is a look at a server."""


@contextlib.asynccontextmanager
async def using(**databases: str) -> AsyncIterator[Database]:
    """Make a Database of URLs, whose replicas are known to serve."""
    configs = {name: DatabaseConfig(url) for name, url in databases.items()}
    database = Database.from_configs(configs)
    database.use_replicas(SELDOM)
    await database.start_replicas()
    try:
        yield database
        assert database.checked_out == 0
    finally:
        await database.dispose()


def replicated(cluster: Cluster) -> contextlib.AbstractAsyncContextManager[Database]:
    return using(primary=cluster.primary_url, replica=cluster.replica_urls[0])


@contextlib.contextmanager
def losing(cluster: Cluster, times: int = 1) -> Iterator[None]:
    """Have the server that a statement goes to end its connections before, so many times."""
    by_port = {each.port: each for each in cluster.servers}
    left = times

    def lose(connection: Connection, *_: object) -> None:
        nonlocal left
        if left:
            left -= 1
            by_port[connection.engine.url.port].disconnect(cluster.database)

    event.listen(Engine, "before_cursor_execute", lose)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", lose)
    assert left == 0


def opened(database: Database, kind: str) -> contextlib.AbstractAsyncContextManager[AsyncSession]:
    return database.session("replica", commit=False, snapshot=kind == "snapshot")


@pytest.mark.parametrize("kind", ["autocommit", "snapshot"])
@pytest.mark.parametrize("explicit", [False, True], ids=["autobegin", "begin"])
async def test_the_first_of_a_session_runs_elsewhere_however_the_session_was_begun(
    stocked: Cluster, sent: Sent, *, kind: str, explicit: bool
) -> None:
    async with replicated(stocked) as database:
        sent.take()
        async with opened(database, kind) as session:
            with losing(stocked):
                async with session.begin() if explicit else contextlib.nullcontext():
                    assert await session.scalar(COUNT) == 3
                    assert await session.scalar(COUNT) == 3
                    assert sent.take()[-2:] == ["primary"] * 2
            # What it found, it has kept.
            assert await session.scalar(COUNT) == 3


WAYS = {
    "execute": lambda session: session.execute(COUNT).scalar(),
    "scalar": lambda session: session.scalar(COUNT),
    "scalars": lambda session: session.scalars(COUNT).one(),
    "query": lambda session: session.query(Author).count(),
}


@pytest.mark.parametrize("name", ["replica", "primary"])
async def test_whatever_way_the_synchronous_session_below_was_asked(
    stocked: Cluster, name: str
) -> None:
    async with replicated(stocked) as database:
        for way, ask in WAYS.items():
            async with database.session(name, commit=False) as session:
                with losing(stocked):
                    assert (way, await session.run_sync(ask)) == (way, 3)


async def test_objects_that_were_read_before_are_no_reason_to_fail(
    stocked: Cluster, sent: Sent
) -> None:
    async with replicated(stocked) as database, opened(database, "autocommit") as session:
        author = await session.get(Author, 1)
        assert author is not None
        await session.commit()
        sent.take()
        with losing(stocked):
            assert await session.scalar(COUNT) == 3
        # The primary is not behind what they show.
        assert sent.take() == ["replica", "primary"]
        assert author in session


async def test_a_snapshot_that_is_lost_does_not_go_on_as_another_one(stocked: Cluster) -> None:
    async with replicated(stocked) as database, opened(database, "snapshot") as session:
        await session.scalar(COUNT)
        with losing(stocked), pytest.raises(DBAPIError):
            await session.scalar(COUNT)
        with pytest.raises(PendingRollbackError):
            await session.scalar(COUNT)
        await session.rollback()
        assert await session.scalar(COUNT) == 3


async def test_a_database_of_the_caller_s_own_choice_is_held_against_no_replica(
    stocked: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    urls = {"primary": stocked.primary_url, "replica": stocked.replica_urls[0]}
    other = make_url(stocked.primary_url).set(port=1).render_as_string(hide_password=False)
    async with using(**urls, other=other) as database:
        bind = {"bind": database.get("other").engine.sync_engine}
        async with opened(database, "autocommit") as session:
            for _ in range(2):
                with pytest.raises(CannotConnectError):
                    await session.execute(COUNT, bind_arguments=bind)
                await session.scalar(COUNT)
        assert database.replicas["replica"].state == "up"
    assert "taken out" not in caplog.text


@contextlib.asynccontextmanager
async def beyond_proxy(cluster: Cluster) -> AsyncIterator[tuple[Proxy, str]]:
    """Stand before a cluster's primary."""
    url = make_url(cluster.primary_url)
    async with proxy_to(url.host, url.port) as proxy:
        yield proxy, url.set(port=proxy.port).render_as_string(hide_password=False)


async def attempts(proxy: Proxy, opened: contextlib.AbstractAsyncContextManager) -> int:
    """Count the connections that were tried for one statement."""
    before = proxy.refused
    async with opened as session:
        with pytest.raises(CannotConnectError):
            await session.scalar(COUNT)
    return proxy.refused - before


async def test_a_primary_that_cannot_be_reached_is_tried_once(stocked: Cluster) -> None:
    async with beyond_proxy(stocked) as (proxy, url):
        replica = make_url(stocked.replica_urls[0]).set(port=1)
        urls = {"primary": url, "replica": replica.render_as_string(hide_password=False)}
        async with using(**urls) as database:
            proxy.refuse = lambda: True
            # A driver may try twice by itself.
            once = await attempts(proxy, database.session())
            assert await attempts(proxy, opened(database, "autocommit")) == once
            assert await attempts(proxy, opened(database, "snapshot")) == once


async def test_so_is_one_whose_writes_have_to_be_seen(stocked: Cluster) -> None:
    async with (
        beyond_proxy(stocked) as (proxy, url),
        using(primary=url, replica=stocked.replica_urls[0]) as database,
    ):
        proxy.refuse = lambda: True
        once = await attempts(proxy, database.session())
        freshness = Freshness()
        freshness.note("primary", None)
        token = current_freshness.set(freshness)
        try:
            assert await attempts(proxy, opened(database, "autocommit")) == once
        finally:
            current_freshness.reset(token)


async def test_a_connection_of_the_primary_s_pool_that_was_lost_is_replaced_once(
    stocked: Cluster,
) -> None:
    dead = make_url(stocked.replica_urls[0]).set(port=1).render_as_string(hide_password=False)
    async with using(primary=stocked.primary_url, replica=dead) as database:
        async with opened(database, "autocommit") as session:
            with losing(stocked):
                assert await session.scalar(COUNT) == 3
        async with opened(database, "autocommit") as session:
            with losing(stocked, 2), pytest.raises(DBAPIError):
                await session.scalar(COUNT)
