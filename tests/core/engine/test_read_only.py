"""Read-only means read-only: the server itself refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from hawkapi_sqlalchemy.core import Database, ReadOnlyError
from hawkapi_sqlalchemy.core.faults import Fault, fault_of

WRITE = text("UPDATE counters SET n = 5 WHERE id = 1")
COUNT = "SELECT n FROM counters WHERE id = 1"


@pytest.fixture(params=["read_only", "replica", "fallback"])
def reading(request: pytest.FixtureRequest, counters: str, make_database: Any) -> Any:
    """A Database and the name under which its sessions are read-only."""
    database: Database = make_database(counters, read_only=request.param == "read_only")
    if request.param == "replica":
        database.add("replica", database.get().config)
    return database, "primary" if request.param == "read_only" else "replica"


async def test_the_server_refuses_a_write(reading: Any, ask: Any) -> None:
    database, name = reading
    with pytest.raises(ReadOnlyError, match="read-only, and the server refused") as caught:
        async with database.session(name, commit=False) as session:
            assert await session.scalar(text(COUNT)) == 0
            await session.execute(WRITE)
    assert repr(database.get(name).name) in str(caught.value)
    assert "get_session" in str(caught.value)
    assert fault_of(caught.value) is Fault.OTHER
    assert database.checked_out == 0
    assert await ask(COUNT) == 0


async def test_the_refusal_gives_no_connection_up(reading: Any) -> None:
    """It is the session's own limit, and says nothing about the server."""
    database, name = reading
    for _ in range(3):
        with pytest.raises(ReadOnlyError):
            async with database.session(name, commit=False) as session:
                await session.execute(WRITE)
    assert database.get(name).open_connections == 1


@pytest.mark.parametrize("reading", ["replica"], indirect=True)
async def test_a_commit_inside_a_replicas_session_stores_nothing(reading: Any, ask: Any) -> None:
    database, name = reading
    async with database.session(name, commit=False) as session:
        for _ in range(2):
            with pytest.raises(ReadOnlyError):
                await session.execute(WRITE)
            await session.rollback()
            await session.commit()
    assert await ask(COUNT) == 0


@pytest.mark.parametrize("reading", ["fallback"], indirect=True)
async def test_the_databases_other_sessions_take_writes_all_the_same(
    reading: Any, ask: Any
) -> None:
    database, name = reading
    for _ in range(2):
        async with database.session(name, commit=False) as session:
            await session.execute(text(COUNT))
        async with database.session() as session:
            await session.execute(text("UPDATE counters SET n = n + 1 WHERE id = 1"))
    assert await ask(COUNT) == 2


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_real_replica_can_be_read_and_refuses_writes(
    replicated: Any, make_database: Any
) -> None:
    database: Database = make_database(replicated.primary_url)
    database.add("replica", type(database.get().config)(replicated.replica_url))
    async with database.session() as session:
        await session.execute(text("CREATE TABLE counters (id INTEGER PRIMARY KEY, n INTEGER)"))
        await session.execute(text("INSERT INTO counters VALUES (1, 0)"))
    await asyncio.to_thread(replicated.wait_for_catch_up)
    with pytest.raises(ReadOnlyError):
        async with database.session("replica", commit=False) as session:
            assert await session.scalar(text(COUNT)) == 0
            await session.execute(WRITE)
    await database.dispose()
