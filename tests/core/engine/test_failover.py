"""A primary that is no longer one: its connections are given up, the next reach the new primary."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import make_url, text

from dbservers.mariadb import MariaDBServer
from dbservers.postgresql import PostgreSQLServer
from dbservers.replication import PostgreSQLPair
from hawkapi_sqlalchemy.core import Database, PrimaryUnavailableError
from hawkapi_sqlalchemy.core import pools as pools_module
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.ending import end_session
from hawkapi_sqlalchemy.core.faults import Fault, fault_of, is_retryable

CREATE = text("CREATE TABLE t (x INTEGER)")
INSERT = text("INSERT INTO t VALUES (1)")
PORT = text("SELECT inet_server_port()")


def both(pair: PostgreSQLPair, attributes: str) -> str:
    """Make a URL of both servers, the standby first."""
    url = make_url(pair.primary_url).set(host=None, port=None)
    hosts = [f"{each.host}:{each.port}" for each in (pair.standby, pair.primary)]
    url = url.update_query_dict({"host": hosts, "target_session_attrs": attributes})
    return url.render_as_string(hide_password=False)


async def open_connections(database: Database, number: int) -> None:
    """Fill the pool with connections that stay."""
    barrier = asyncio.Barrier(number)

    async def use() -> None:
        async with database.session(commit=False) as session:
            await session.execute(text("SELECT 1"))
            await barrier.wait()

    async with asyncio.timeout(20):
        await asyncio.gather(*(use() for _ in range(number)))


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize("attributes", ["read-write", "primary"])
async def test_a_url_of_several_hosts_leads_to_the_primary(
    attributes: str, replicated: PostgreSQLPair, make_database: Any
) -> None:
    url = make_url(replicated.primary_url).set(host=None, port=None)
    hosts = [f"{each.host}:{each.port}" for each in (replicated.replica, replicated.primary)]
    url = url.update_query_dict({"host": hosts, "target_session_attrs": attributes})
    database: Database = make_database(url.render_as_string(hide_password=False))
    async with database.session() as session:
        assert await session.scalar(PORT) == replicated.primary.port
        await session.execute(CREATE)
    await database.dispose()


async def test_after_the_primary_died_sessions_reach_the_promoted_standby(
    own_postgres_pair: PostgreSQLPair, make_database: Any
) -> None:
    pair = own_postgres_pair
    database: Database = make_database(both(pair, "read-write"))
    async with database.session() as session:
        assert await session.scalar(PORT) == pair.primary.port
        await session.execute(CREATE)
    await open_connections(database, 3)
    await asyncio.to_thread(pair.wait_for_catch_up)
    await asyncio.to_thread(pair.primary.kill)
    await asyncio.to_thread(pair.promote)
    async with asyncio.timeout(30):
        for _ in range(4):
            async with database.session() as session:
                assert await session.scalar(PORT) == pair.standby.port
                await session.execute(INSERT)


async def test_a_primary_that_goes_on_as_a_reader_is_left_for_the_new_one(
    own_postgres_pair: PostgreSQLPair, make_database: Any
) -> None:
    """Its old connections still answer: a ping would find nothing wrong with them."""
    pair = own_postgres_pair
    database: Database = make_database(both(pair, "read-write"))
    async with database.session() as session:
        assert await session.scalar(PORT) == pair.primary.port
        await session.execute(CREATE)
    await open_connections(database, 3)
    await asyncio.to_thread(pair.wait_for_catch_up)
    await asyncio.to_thread(pair.promote)
    await asyncio.to_thread(demote, pair.primary)
    with pytest.raises(PrimaryUnavailableError, match="database 'primary'") as caught:
        async with database.session() as session:
            await session.execute(INSERT)
    assert fault_of(caught.value) is Fault.UNREACHABLE
    assert not is_retryable(caught.value)
    assert database.checked_out == 0
    for _ in range(4):
        async with database.session() as session:
            assert await session.scalar(PORT) == pair.standby.port
            await session.execute(INSERT)


def demote(server: PostgreSQLServer) -> None:
    """Refuse writes from now on, on the connections that are open too."""
    server.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    server.execute("SELECT pg_reload_conf()")


@pytest.mark.dialects("postgresql")
async def test_every_connection_of_the_pool_is_given_up_not_only_the_one_that_found_out(
    database_url: str, database_server: PostgreSQLServer, make_database: Any
) -> None:
    name = make_url(database_url).database
    database: Database = make_database(database_url)
    async with database.session() as session:
        await session.execute(CREATE)
    await database.dispose()
    database_server.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    await open_connections(database, 4)
    # From here on only new connections can write.
    database_server.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    with pytest.raises(PrimaryUnavailableError):
        async with database.session() as session:
            await session.execute(INSERT)
    barrier = asyncio.Barrier(4)

    async def write() -> None:
        async with database.session() as session:
            await session.execute(INSERT)
            await barrier.wait()

    async with asyncio.timeout(20):
        await asyncio.gather(*(write() for _ in range(4)))


@pytest.mark.dialects("mariadb")
async def test_a_mariadb_primary_made_read_only_is_given_up(
    own_server: MariaDBServer, make_database: Any
) -> None:
    database: Database = make_database(own_server.url())
    async with database.session() as session:
        await session.execute(CREATE)
        before = await session.scalar(text("SELECT connection_id()"))
    own_server.execute("SET GLOBAL read_only = 1")
    with pytest.raises(PrimaryUnavailableError) as caught:
        async with database.session() as session:
            await session.execute(INSERT)
    assert fault_of(caught.value) is Fault.UNREACHABLE
    assert database.checked_out == 0
    own_server.execute("SET GLOBAL read_only = 0")
    async with database.session() as session:
        await session.execute(INSERT)
        assert await session.scalar(text("SELECT connection_id()")) > before


@pytest.mark.dialects("postgresql")
async def test_readers_who_connect_in_the_moment_of_a_demotion_connect_once_more(
    counters: str, make_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old primary may have let them in, and would serve them for good."""
    monkeypatch.setattr(pools_module, "_SECOND_LOOK", 0.2)
    database: Database = make_database(counters, ping_after_idle=600.0)

    async def reader() -> Any:
        session = database.open(access=Access.READ)
        driver = (await (await session.connection()).get_raw_connection()).driver_connection
        await end_session(session)
        return driver

    before = await reader()
    database.get()._pools.distrust_readers()
    after = await reader()
    assert after is not before
    async with asyncio.timeout(20):
        while await reader() is after:  # noqa: ASYNC110  # a pool tells nobody
            await asyncio.sleep(0.01)
    last = await reader()
    assert await reader() is last
