"""A connection that the server has ended is replaced, and nothing half done is stored."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import CannotConnectError, CommitOutcomeUnknownError, Database
from hawkapi_sqlalchemy.core.faults import Fault, fault_of
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

COUNT = "SELECT n FROM counters WHERE id = 1"
INCREMENT = text("UPDATE counters SET n = n + 1 WHERE id = 1")


@pytest.fixture
def disconnect(database_url: str, database_server: DatabaseServer) -> Any:
    """End all connections to the fresh database, and wait until they are gone."""
    name = str(make_url(database_url).database)

    def end() -> None:
        database_server.disconnect(name)
        wait_until(
            lambda: database_server.count_connections(name) == 0, what="connections are gone"
        )

    return end


async def test_a_pooled_connection_that_was_ended_is_replaced_unnoticed(
    counters: str, disconnect: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)
    for _ in range(2):
        async with database.session() as session:
            await session.execute(INCREMENT)
        disconnect()
    async with database.session() as session:
        assert await session.scalar(text(COUNT)) == 2


async def test_without_pre_ping_an_end_that_is_known_on_this_side_is_noticed(
    counters: str, disconnect: Any, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_pre_ping=False)
    async with database.session() as session:
        await session.execute(INCREMENT)
    disconnect()
    async with database.session() as session:
        await session.execute(INCREMENT)
        assert await session.scalar(text(COUNT)) == 2


async def test_a_connection_ended_in_the_middle_rolls_back_and_is_replaced(
    counters: str, disconnect: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)
    with pytest.raises(DBAPIError) as caught:
        async with database.session() as session:
            await session.execute(INCREMENT)
            disconnect()
            await session.execute(INCREMENT)
    assert fault_of(caught.value) is Fault.UNREACHABLE
    assert database.checked_out == 0
    async with database.session() as session:
        assert await session.scalar(text(COUNT)) == 0


async def test_a_connection_lost_at_commit_is_an_error_and_no_silent_success(
    counters: str, disconnect: Any, make_database: Any, ask: Any
) -> None:
    database: Database = make_database(counters)

    with pytest.raises(CommitOutcomeUnknownError, match="unknown") as caught:
        async with database.session() as session:
            await session.execute(INCREMENT)
            event.listen(database.get().engine.sync_engine, "commit", lambda _: disconnect())
    assert fault_of(caught.value) is Fault.UNREACHABLE
    assert database.checked_out == 0
    assert await ask(COUNT) == 0


async def test_after_a_restart_of_the_server_the_pool_serves_again(
    own_server: DatabaseServer, make_database: Any
) -> None:
    database: Database = make_database(own_server.url())
    async with database.session() as session:
        await session.execute(text("CREATE TABLE t (x INTEGER)"))
    await asyncio.to_thread(own_server.stop)
    with pytest.raises(CannotConnectError):
        async with database.session() as session:
            await session.execute(text("INSERT INTO t VALUES (1)"))
    await asyncio.to_thread(own_server.start)
    async with database.session() as session:
        await session.execute(text("INSERT INTO t VALUES (1)"))
        assert await session.scalar(text("SELECT count(*) FROM t")) == 1
    assert database.checked_out == 0
