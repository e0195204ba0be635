"""Snapshots: a read-only transaction whose statements see one state, and that leaves no trace."""

from __future__ import annotations

from typing import Any

import pytest
from hawkapi import Depends, HawkAPI, testing
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import (
    ConfigurationError,
    Database,
    DatabaseConfig,
    ReadOnlyError,
    get_replica_session,
    get_session,
    init_database,
    session_for,
)

COUNT = text("SELECT n FROM counters WHERE id = 1")
OTHER = text("SELECT n FROM counters WHERE id = 2")
INCREMENT = text("UPDATE counters SET n = n + 1")
ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0}
READ_COMMITTED = {"init_command": "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"}


@pytest.fixture
def database(counters: str, dialect: str, make_database: Any) -> Database:
    """A Database of one connection, at READ COMMITTED where there is such a level.

    It is PostgreSQL's own; MariaDB's own would give most of a snapshot by itself.
    """
    arguments = READ_COMMITTED if dialect == "mariadb" else {}
    return make_database(counters, **ONE_CONNECTION, connect_args=arguments)


@pytest.fixture
def other(counters: str, make_database: Any) -> Database:
    """Somebody else, who writes meanwhile."""
    return make_database(counters)


async def increment(database: Database) -> None:
    async with database.session() as session:
        await session.execute(INCREMENT)


async def test_all_statements_see_the_state_of_the_first(
    database: Database, other: Database
) -> None:
    async with database.session(commit=False, snapshot=True) as session:
        assert await session.scalar(COUNT) == 0
        await increment(other)
        assert await session.scalar(COUNT) == 0
        assert await session.scalar(OTHER) == 0, "a row that was not read before"
    async with database.session(commit=False, snapshot=True) as session:
        assert await session.scalar(COUNT) == 1


async def test_a_snapshot_that_is_ended_is_followed_by_a_new_one(
    database: Database, other: Database
) -> None:
    async with database.session(commit=False, snapshot=True) as session:
        for n, end in enumerate((session.commit, session.rollback, session.commit)):
            assert await session.scalar(COUNT) == n
            await increment(other)
            assert await session.scalar(OTHER) == n
            await end()


async def test_the_server_refuses_its_writes_in_each_of_its_transactions(
    database: Database, ask: Any
) -> None:
    async with database.session(commit=False, snapshot=True) as session:
        for _ in range(2):
            with pytest.raises(ReadOnlyError):
                await session.execute(INCREMENT)
            await session.rollback()
            assert await session.scalar(COUNT) == 0
            await session.commit()
    assert await ask(str(COUNT)) == 0


async def test_savepoints_and_streams_work_in_it(database: Database) -> None:
    async with database.session(commit=False, snapshot=True) as session:
        async with session.begin_nested():
            assert await session.scalar(COUNT) == 0
        result = await session.stream(text("SELECT n FROM counters"))
        assert [row.n async for row in result] == [0, 0]


async def test_the_next_writer_on_its_connection_writes(database: Database, ask: Any) -> None:
    for n in range(3):
        async with database.session(commit=False, snapshot=True) as session:
            assert await session.scalar(COUNT) == n
        assert database.checked_out == 0
        await increment(database)
    assert await ask(str(COUNT)) == 3
    assert database.get()._pools.main.engine.pool._open == 1


@pytest.mark.dialects("postgresql", "mariadb")
async def test_the_next_writer_on_its_connection_is_at_read_committed_again(
    database: Database, other: Database
) -> None:
    await keeps_its_level(database, other, sees_the_new=True)


@pytest.mark.dialects("mariadb")
async def test_or_at_repeatable_read_where_the_server_has_it_so(
    counters: str, make_database: Any, other: Database
) -> None:
    await keeps_its_level(make_database(counters, **ONE_CONNECTION), other, sees_the_new=False)


@pytest.mark.dialects("postgresql")
async def test_or_at_the_level_that_the_application_has_chosen(
    counters: str, make_database: Any, other: Database
) -> None:
    arguments = {"isolation_level": "REPEATABLE READ"}
    database: Database = make_database(counters, **ONE_CONNECTION, engine_kwargs=arguments)
    await keeps_its_level(database, other, sees_the_new=False)


async def keeps_its_level(database: Database, other: Database, *, sees_the_new: bool) -> None:
    async def sees() -> bool:
        async with database.session(commit=False) as session:
            before = await session.scalar(COUNT)
            await increment(other)
            return await session.scalar(COUNT) != before

    assert await sees() is sees_the_new
    async with database.session(commit=False, snapshot=True) as session:
        await session.execute(COUNT)
    assert await sees() is sees_the_new
    with pytest.raises(ReadOnlyError):
        async with database.session(commit=False, snapshot=True) as session:
            await session.execute(INCREMENT)
    assert await sees() is sees_the_new
    assert database.get()._pools.main.engine.pool._open == 1


@pytest.mark.dialects("postgresql")
async def test_it_begins_in_one_round_trip(wire: Any, make_database: Any) -> None:
    database: Database = make_database(wire.url, ping_after_idle=600.0)
    for _ in range(2):
        wire.clear()
        async with database.session(commit=False, snapshot=True) as session:
            await session.execute(COUNT)
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
    assert wire.statements == [begin, str(COUNT), "ROLLBACK;"]
    await database.dispose()


async def test_of_a_replica_it_is_a_snapshot_too(
    counters: str, make_database: Any, other: Database
) -> None:
    database: Database = make_database(counters)
    database.add("replica", DatabaseConfig(counters))
    async with database.session("replica", commit=False, snapshot=True) as session:
        assert await session.scalar(COUNT) == 0
        await increment(other)
        assert await session.scalar(OTHER) == 0
        with pytest.raises(ReadOnlyError):
            await session.execute(INCREMENT)


def test_one_that_commits_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="commit=False, snapshot=True"):
        session_for("primary", snapshot=True)
    with pytest.raises(ConfigurationError, match="commit=False, snapshot=True"):
        session_for("primary", commit=True, snapshot=True)


async def test_a_session_of_the_database_that_commits_is_refused(database: Database) -> None:
    with pytest.raises(ConfigurationError, match="commit=False, snapshot=True"):
        async with database.session(snapshot=True):
            pass
    assert database.checked_out == 0


def test_a_dependency_tells_what_it_is() -> None:
    dependency = session_for("replica", commit=False, snapshot=True)
    assert repr(dependency) == "session_for('replica', commit=False, snapshot=True)"


async def test_a_request_may_read_a_snapshot_beside_its_other_sessions(counters: str) -> None:
    """Each kind is a session of its own, shared by all who ask for it."""
    app = HawkAPI()
    database = init_database(app, url=counters)
    get_snapshot = session_for("primary", commit=False, snapshot=True)
    get_snapshot_again = session_for("primary", commit=False, snapshot=True)

    @app.post("/all")
    async def use(
        snapshot: AsyncSession = Depends(get_snapshot),
        again: AsyncSession = Depends(get_snapshot_again),
        writer: AsyncSession = Depends(get_session),
        replica: AsyncSession = Depends(get_replica_session),
    ) -> dict[str, object]:
        seen = [await snapshot.scalar(COUNT), await replica.scalar(COUNT)]
        await writer.execute(INCREMENT)
        async with app.state.db.session(commit=False) as elsewhere:
            uncommitted = await elsewhere.scalar(COUNT)
        refused = []
        for each in (snapshot, replica):
            try:
                await each.execute(INCREMENT)
            except ReadOnlyError:
                refused.append(True)
                await each.rollback()
        return {
            "seen": seen,
            "uncommitted": uncommitted,
            "refused": refused,
            "same": snapshot is again,
            "kinds": len({id(each) for each in (snapshot, writer, replica)}),
            "in_use": database.checked_out,
        }

    for n in range(2):
        answer = await testing.TestClient(app).async_post("/all")
        assert answer.status_code == 201, answer.text
        body = answer.json()
        assert (body["seen"], body["uncommitted"]) == ([n, n], n)
        assert (body["refused"], body["same"], body["kinds"]) == ([True, True], True, 3)
        assert database.checked_out == 0
    async with database.session(commit=False) as session:
        assert await session.scalar(COUNT) == 2
    await database.dispose()


async def test_a_snapshot_of_a_request_sees_nothing_that_is_committed_meanwhile(
    counters: str, other: Database
) -> None:
    app = HawkAPI()
    database = init_database(app, url=counters)

    @app.get("/read")
    async def read(
        snapshot: AsyncSession = Depends(session_for("primary", commit=False, snapshot=True)),
        replica: AsyncSession = Depends(get_replica_session),
    ) -> dict[str, list[int | None]]:
        before = [await snapshot.scalar(COUNT), await replica.scalar(COUNT)]
        await increment(other)
        return {
            "before": before,
            "after": [await snapshot.scalar(OTHER), await replica.scalar(OTHER)],
        }

    answer = await testing.TestClient(app).async_get("/read")
    assert answer.json() == {"before": [0, 0], "after": [0, 1]}
    await database.dispose()
