"""`Database.run`: a unit of work that is run again when the server asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import event, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import CommitOutcomeUnknownError, Database, on_commit
from hawkapi_sqlalchemy.core.faults import Fault, fault_of
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until
from schema import User

COUNT = "SELECT n FROM counters WHERE id = 1"
SERIALIZABLE = {"isolation_level": "SERIALIZABLE"}


def update(row: int) -> Any:
    return text(f"UPDATE counters SET n = n + 1 WHERE id = {row}")


async def test_it_answers_what_the_function_answers_and_commits(
    counters: str, ask: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)

    async def work(session: AsyncSession) -> str:
        await session.execute(update(1))
        return "done"

    assert await database.run(work) == "done"
    assert await ask(COUNT) == 1
    assert database.checked_out == 0


async def test_eight_serialisable_increments_at_once_lose_nothing(
    counters: str, ask: Any, add: Any, make_database: Any
) -> None:
    database: Database = make_database(counters, engine_kwargs=SERIALIZABLE)
    runs = 0

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await add(session)

    async with asyncio.timeout(60):
        await asyncio.gather(*(database.run(work, attempts=60, max_wait=0.2) for _ in range(8)))
    assert await ask(COUNT) == 8
    assert runs >= 8


@pytest.mark.dialects("postgresql")
async def test_a_serialisation_failure_that_only_commit_reports_is_run_again(
    counters: str, ask: Any, make_database: Any
) -> None:
    """Write skew: each reads both rows and writes another one."""
    database: Database = make_database(counters, engine_kwargs=SERIALIZABLE)
    barrier = asyncio.Barrier(2)
    sessions: list[int] = []
    errors: list[str] = []

    def note(context: Any) -> None:
        errors.append(str(context.statement))

    event.listen(database.get().engine.sync_engine, "handle_error", note)

    async def work(session: AsyncSession, row: int) -> None:
        sessions.append(id(session))
        total = await session.scalar(text("SELECT sum(n) FROM counters"))
        if total == 0:
            await session.execute(update(row))
        if len(sessions) <= 2:
            await barrier.wait()

    async with asyncio.timeout(30):
        await asyncio.gather(
            database.run(lambda session: work(session, 1)),
            database.run(lambda session: work(session, 2)),
        )
    assert await ask("SELECT sum(n) FROM counters") == 1
    assert len(sessions) == 3
    assert errors == ["None"], "it was the COMMIT that failed, not a statement"


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_real_deadlock_is_run_again(counters: str, ask: Any, make_database: Any) -> None:
    database: Database = make_database(counters)
    barrier = asyncio.Barrier(2)
    runs = 0
    faults: list[Fault] = []

    def note(context: Any) -> None:
        faults.append(fault_of(context.sqlalchemy_exception))

    event.listen(database.get().engine.sync_engine, "handle_error", note)

    async def work(session: AsyncSession, first: int, second: int) -> None:
        nonlocal runs
        runs += 1
        await session.execute(update(first))
        if runs <= 2:
            await barrier.wait()
        await session.execute(update(second))

    async with asyncio.timeout(30):
        await asyncio.gather(
            database.run(lambda session: work(session, 1, 2)),
            database.run(lambda session: work(session, 2, 1)),
        )
    assert faults == [Fault.DEADLOCK]
    assert runs == 3
    assert await ask(COUNT) == 2
    assert await ask("SELECT n FROM counters WHERE id = 2") == 2


async def test_a_lock_time_out_is_run_again_until_the_lock_is_free(
    counters: str, ask: Any, make_database: Any
) -> None:
    """On SQLite the lock is another process's: a Database of its own stands for it."""
    holder: Database = make_database(counters)
    database: Database = make_database(counters, lock_timeout=0.1)
    failed = asyncio.Event()
    event.listen(
        database.get().engine.sync_engine, "handle_error", lambda _: failed.set(), retval=False
    )

    async def work(session: AsyncSession) -> None:
        await session.execute(update(1))

    async with asyncio.timeout(30):
        async with holder.session() as session:
            await session.execute(update(1))
            running = asyncio.create_task(database.run(work, attempts=50))
            await failed.wait()
        await running
    assert await ask(COUNT) == 2


async def test_a_unique_violation_is_not_run_again(
    url: str, stored: Any, make_database: Any
) -> None:
    database: Database = make_database(url)
    runs = 0

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        session.add(User(email="ada"))

    await database.run(work)
    with pytest.raises(IntegrityError):
        await database.run(work)
    assert runs == 2
    assert await stored() == ["ada"]


async def test_an_error_of_the_function_is_not_run_again(
    counters: str, ask: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)
    runs = 0

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await session.execute(update(1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.run(work)
    assert runs == 1
    assert await ask(COUNT) == 0


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_connection_lost_at_commit_is_not_run_again(
    counters: str, database_server: DatabaseServer, make_database: Any
) -> None:
    """Whether the COMMIT held is unknown: the work could be done twice."""
    name = str(make_url(counters).database)
    database: Database = make_database(counters)
    runs = 0

    def cut(_: object) -> None:
        database_server.disconnect(name)
        wait_until(lambda: not database_server.count_connections(name), what="nobody is connected")

    event.listen(database.get().engine.sync_engine, "commit", cut)

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await session.execute(update(1))

    with pytest.raises(CommitOutcomeUnknownError):
        await database.run(work)
    assert runs == 1
    assert database.checked_out == 0


def busy(code: str = "40001") -> DBAPIError:
    """An error as asyncpg's arrive: a plain `DBAPIError` with an SQLSTATE."""
    original = Exception("could not serialize access")
    original.sqlstate = code  # type: ignore[attr-defined]
    return DBAPIError("SELECT 1", None, original)


@pytest.mark.dialects("sqlite")
async def test_the_cap_on_attempts_is_kept_and_the_last_error_is_raised(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters)
    raised: list[DBAPIError] = []

    async def work(session: AsyncSession) -> None:
        raised.append(busy())
        raise raised[-1]

    with pytest.raises(DBAPIError) as caught:
        await database.run(work, attempts=3, max_wait=0.01)
    assert len(raised) == 3
    assert caught.value is raised[-1]
    assert database.checked_out == 0


@pytest.mark.dialects("sqlite")
async def test_no_further_run_begins_after_the_deadline(counters: str, make_database: Any) -> None:
    database: Database = make_database(counters)
    runs = 0

    async def work(session: AsyncSession) -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0.05)
        raise busy("40P01")

    with pytest.raises(DBAPIError):
        await database.run(work, attempts=1000, max_wait=0.01, deadline=0.01)
    assert runs == 1


@pytest.mark.dialects("sqlite")
async def test_every_run_has_a_fresh_session_and_only_the_committed_ones_callbacks_run(
    counters: str, ask: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)
    sessions: list[AsyncSession] = []
    called: list[int] = []

    async def work(session: AsyncSession) -> None:
        assert session not in sessions
        sessions.append(session)
        on_commit(session, called.append, len(sessions))
        await session.execute(update(1))
        if len(sessions) < 3:
            raise busy()

    await database.run(work, max_wait=0.01)
    assert called == [3]
    assert await ask(COUNT) == 1


@pytest.mark.dialects("sqlite")
async def test_a_cancelled_run_stops(counters: str, make_database: Any) -> None:
    database: Database = make_database(counters)
    begun = asyncio.Event()

    async def work(session: AsyncSession) -> None:
        begun.set()
        raise busy()

    async with asyncio.timeout(10):
        running = asyncio.create_task(database.run(work, attempts=10**6))
        await begun.wait()
        running.cancel()
        await asyncio.wait([running])
    assert running.cancelled()
    assert database.checked_out == 0


@pytest.mark.dialects("sqlite")
async def test_a_lock_time_out_that_never_heals_is_raised_as_the_driver_said(
    counters: str, make_database: Any
) -> None:
    holder: Database = make_database(counters)
    database: Database = make_database(counters, lock_timeout=0.05)
    async with holder.session() as session:
        await session.execute(update(1))
        with pytest.raises(OperationalError, match="locked"):
            await database.run(lambda other: other.execute(update(1)), attempts=2, max_wait=0.01)
