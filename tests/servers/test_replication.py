"""`replicated`: a primary and the replica that follows it."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dbservers.replication import Replicated


@pytest.fixture
async def engines(replicated: Replicated):
    """Engines of the primary and the replica, with a table `notes` on both."""
    primary = create_async_engine(replicated.primary_url)
    replica = create_async_engine(replicated.replica_url)
    async with primary.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (id INTEGER PRIMARY KEY)"))
    replicated.wait_for_catch_up()
    yield primary, replica
    await primary.dispose()
    await replica.dispose()


async def insert(engine: AsyncEngine, note: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"INSERT INTO notes VALUES ({note})"))


async def count(engine: AsyncEngine) -> int | None:
    async with engine.connect() as connection:
        return await connection.scalar(text("SELECT count(*) FROM notes"))


async def test_the_replica_shows_what_the_primary_committed(
    replicated: Replicated, engines: tuple[AsyncEngine, AsyncEngine]
) -> None:
    primary, replica = engines
    await insert(primary, 1)
    replicated.wait_for_catch_up()
    assert await count(replica) == 1


async def test_the_replica_refuses_writes(engines: tuple[AsyncEngine, AsyncEngine]) -> None:
    with pytest.raises(DBAPIError, match=r"read-only"):
        await insert(engines[1], 1)


async def test_a_pause_holds_the_replica_back_until_it_ends(
    replicated: Replicated, engines: tuple[AsyncEngine, AsyncEngine]
) -> None:
    primary, replica = engines
    replicated.pause_replay()
    await insert(primary, 1)
    with pytest.raises(TimeoutError):
        replicated.wait_for_catch_up(timeout=0.3)
    assert await count(replica) == 0
    replicated.resume_replay()
    replicated.wait_for_catch_up()
    assert await count(replica) == 1


@pytest.mark.parametrize("turn", ["pauses", "follows"])
async def test_a_pause_ends_with_its_test(replicated: Replicated, turn: str) -> None:
    """Whichever of the two runs second finds a replica that replays."""
    replicated.wait_for_catch_up()
    replicated.pause_replay()


@pytest.mark.dialects("mariadb")
def test_a_replica_does_not_replay_the_databases_of_other_tests(replicated: Replicated) -> None:
    """It may start late in a long run, and has the primary's whole log to go through."""
    name = replicated.primary.create_database()
    try:
        replicated.primary.execute("CREATE PROCEDURE nothing() SELECT 1", name)
        replicated.primary.execute("DROP PROCEDURE nothing", name)
        replicated.wait_for_catch_up()
        known = {row[0] for row in replicated.replica.execute("SHOW DATABASES")}
    finally:
        replicated.primary.drop_database(name)
    assert replicated.database in known
    assert name not in known
