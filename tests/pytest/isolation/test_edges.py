"""What could leak from one session, or one test, into the next, and does not."""

import asyncio
from contextlib import suppress

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from hawkapi_sqlalchemy.core import DatabaseConfig, TransactionLostError
from hawkapi_sqlalchemy.pytest.isolation.errors import SharedConnectionError
from schema import User
from users import SLOW, add, all_emails, emails, execute


async def test_a_rollback_that_could_not_be_done_is_a_problem_of_the_test(runtime):
    """Where a session is merely closed, SQLAlchemy passes over the error."""
    test = runtime.begin(real_commits=False)
    test.call_begins()
    async with test.database.session(commit=False) as outer:
        outer.add(User(email="outer"))
        await outer.flush()
        await add(test.database, "inner")
    problem = await asyncio.to_thread(test.end)
    assert problem is not None
    assert "cannot be rolled back alone" in problem
    test = runtime.begin(real_commits=False)
    assert await asyncio.to_thread(test.end) is None


@pytest.mark.dialects("postgresql")
async def test_a_commit_after_a_swallowed_error_fails_and_harms_nobody_else(a_test):
    for _ in range(2):
        with a_test() as test:
            with pytest.raises(TransactionLostError):
                async with test.database.session() as session:
                    with suppress(DBAPIError):
                        await session.execute(text("SELECT 1/0"))
            await add(test.database, "ada")
            assert await all_emails(test.database) == ["ada"]


@pytest.mark.dialects("postgresql")
async def test_a_session_that_has_failed_does_not_stop_the_others(a_test):
    with a_test() as test, test.session() as session:
        session.add(User(email="ada"))
        await session.commit()
        with pytest.raises(DBAPIError):
            await session.execute(text("SELECT 1/0"))
        await add(test.database, "joan")
        # For itself it has failed still, as in production.
        with pytest.raises(DBAPIError, match="aborted"):
            await session.execute(select(User))
        await session.rollback()
        assert await emails(session) == ["ada", "joan"]


async def test_an_autocommit_connection_leaves_nothing_behind(a_test):
    for _ in range(2):
        with a_test() as test:
            engine = test.database.get().engine
            async with engine.connect() as connection:
                raw = await connection.execution_options(isolation_level="AUTOCOMMIT")
                await raw.execute(insert(User).values(email="ada"))
            async with engine.begin() as connection:
                await connection.execute(insert(User).values(email="joan"))
            assert await all_emails(test.database) == ["ada", "joan"]


@pytest.mark.dialects("sqlite", "mariadb")
async def test_what_set_has_set_is_as_it_was_in_the_next_test(a_test, dialect):
    with a_test() as test, test.session() as session:
        await session.execute(
            text("PRAGMA query_only=ON" if dialect == "sqlite" else "SET @who = 'ada'")
        )
    with a_test() as test:
        await add(test.database, "ada")
        if dialect == "mariadb":
            async with test.database.session(commit=False) as session:
                assert await session.scalar(text("SELECT @who")) is None


@pytest.mark.dialects("sqlite")
async def test_each_test_s_first_session_decides_how_the_connection_is_set(a_test):
    for configured in (False, True, False, True):
        with a_test() as test:
            pragmas = {"recursive_triggers": "ON"} if configured else {}
            test.add("primary", DatabaseConfig("sqlite+aiosqlite://", sqlite_pragmas=pragmas))
            async with test.database.session(commit=False) as session:
                assert await session.scalar(text("PRAGMA recursive_triggers")) == configured


async def test_a_commit_leaves_the_savepoints_of_the_session_around_it(a_test):
    with a_test() as test:
        outer, inner = test.database.open(), test.database.open()
        for email, session in (("a", outer), ("b", inner)):
            session.add(User(email=email))
            await session.flush()
        savepoint = await outer.begin_nested()
        await inner.commit()
        await savepoint.rollback()
        await outer.commit()
        assert await all_emails(test.database) == ["a", "b"]
        await outer.close()
        await inner.close()


@pytest.mark.dialects("postgresql")
async def test_what_a_function_has_written_is_rolled_back_too(a_test):
    """The text of such a statement does not show it."""
    with a_test() as test:
        await execute(
            test.database,
            "CREATE FUNCTION make_user() RETURNS void LANGUAGE sql AS "
            "$$ INSERT INTO users (email) VALUES ('made') $$",
        )
        session = test.database.open()
        await session.execute(text("SELECT make_user()"))
        await session.rollback()
        await session.close()
        assert await all_emails(test.database) == []


@pytest.mark.dialects("sqlite")
async def test_a_statement_that_rolls_everything_back_is_named(a_test):
    with a_test() as test:
        await add(test.database, "ada")
        with pytest.raises(IntegrityError):
            await execute(test.database, "INSERT OR ROLLBACK INTO users VALUES (1, 'ada')")
        with pytest.raises(SharedConnectionError, match="INSERT OR ROLLBACK"):
            await all_emails(test.database)
    with a_test() as test:
        assert await all_emails(test.database) == []


@pytest.mark.dialects("sqlite")
async def test_a_key_that_is_violated_at_commit_is_reported_with_sqlite_s_code(a_test):
    with a_test() as test:
        await execute(
            test.database,
            "CREATE TABLE child (id INTEGER PRIMARY KEY, user_id INTEGER "
            "REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)",
        )
        with pytest.raises(IntegrityError) as caught:
            await execute(test.database, "INSERT INTO child VALUES (1, 4711)")
        assert caught.value.orig.sqlite_errorname == "SQLITE_CONSTRAINT_FOREIGNKEY"


async def test_a_statement_under_way_at_a_test_s_end_harms_no_later_one(a_test, dialect):
    with a_test() as test:
        running = asyncio.Event()
        session = test.database.open()
        sync_engine = test.database.get().engine.sync_engine
        event.listen(sync_engine, "before_cursor_execute", lambda *_: running.set(), once=True)
        task = asyncio.create_task(session.execute(text(SLOW[dialect])))
        await running.wait()
    await asyncio.wait({task})
    assert task.cancelled() or task.exception()
    await session.close()
    with a_test() as test:
        await add(test.database, "ada")
        async with test.database.get().engine.begin() as connection:
            await connection.execute(insert(User).values(email="joan"))
        assert await all_emails(test.database) == ["ada", "joan"]
