"""All of a test in one transaction: nothing is left, and sessions behave as with ordinary ones."""

import asyncio

import pytest
from hawkapi import Depends, HawkAPI, testing
from sqlalchemy import func, insert, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from hawkapi_sqlalchemy.core import (
    Database,
    ReadOnlyError,
    TransactionRequiredError,
    get_session,
    init_database,
    on_commit,
)
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.pytest.application import all_on
from hawkapi_sqlalchemy.pytest.isolation import turns
from hawkapi_sqlalchemy.pytest.isolation.errors import (
    CrossedTransactionsError,
    OutsideTestError,
    SharedConnectionError,
)
from schema import User
from users import SLOW, add, all_emails, emails, execute


def has_table(session: Session, name: str) -> bool:
    return inspect(session.connection()).has_table(name)


async def test_what_a_test_commits_is_seen_in_it_and_gone_after_it(a_test, stored):
    for _ in range(2):
        with a_test() as test:
            await add(test.database, "ada")
            assert await all_emails(test.database) == ["ada"]
        assert await stored() == []


@pytest.mark.dialects("postgresql", "mariadb")
async def test_nobody_else_sees_it_meanwhile(a_test, stored):
    with a_test() as test:
        await add(test.database, "ada")
        assert await stored() == []


async def test_it_is_gone_after_a_failure_half_way(a_test, stored):
    with pytest.raises(LookupError), a_test() as test:
        await add(test.database, "ada")
        async with test.database.session() as session:
            session.add(User(email="eve"))
            await session.flush()
            raise LookupError
    assert await stored() == []


async def test_a_session_that_raises_is_rolled_back_and_the_others_are_not(a_test):
    with a_test() as test:
        await add(test.database, "ada")
        with pytest.raises(LookupError):
            async with test.database.session() as session:
                session.add(User(email="eve"))
                await session.flush()
                raise LookupError
        await add(test.database, "joan")
        assert await all_emails(test.database) == ["ada", "joan"]


async def test_a_constraint_that_fails_leaves_the_rest_of_the_test_usable(a_test):
    with a_test() as test:
        await add(test.database, "ada")
        with pytest.raises(IntegrityError):
            await add(test.database, "ada")
        await add(test.database, "joan")
        assert await all_emails(test.database) == ["ada", "joan"]


async def test_savepoints_of_the_application_nest_inside(a_test):
    with a_test() as test:
        async with test.database.session() as session:
            session.add(User(email="ada"))
            async with session.begin_nested():
                session.add(User(email="joan"))
                with pytest.raises(LookupError):
                    async with session.begin_nested():
                        session.add(User(email="eve"))
                        await session.flush()
                        raise LookupError
            with pytest.raises(IntegrityError):
                async with session.begin_nested():
                    session.add(User(email="ada"))
        assert await all_emails(test.database) == ["ada", "joan"]


async def test_a_session_may_commit_and_roll_back_several_times(a_test):
    with a_test() as test, test.session() as session:
        session.add(User(email="ada"))
        await session.commit()
        session.add(User(email="eve"))
        await session.rollback()
        session.add(User(email="joan"))
        await session.commit()
        assert await emails(session) == ["ada", "joan"]


async def test_a_session_inside_another_one_ends_first(a_test):
    """A request, while the test's own session is in a transaction."""
    with a_test() as test, test.session() as session:
        session.add(User(email="ada"))
        await session.flush()
        await add(test.database, "joan")
        with pytest.raises(LookupError):
            async with test.database.session() as inner:
                inner.add(User(email="eve"))
                await inner.flush()
                raise LookupError
        await session.commit()
        assert await emails(session) == ["ada", "joan"]


async def test_a_read_that_is_rolled_back_takes_no_write_along(a_test):
    with a_test() as test:
        async with test.database.session(commit=False) as reader:
            assert await emails(reader) == []
            await add(test.database, "ada")
            assert await emails(reader) == ["ada"]
        assert await all_emails(test.database) == ["ada"]


async def test_two_sessions_may_write_in_turns_if_both_commit(a_test):
    with a_test() as test:
        first, second = test.database.open(), test.database.open()
        for email, session in (("a", first), ("b", second), ("c", first), ("d", second)):
            session.add(User(email=email))
            await session.flush()
        await first.commit()
        await second.commit()
        assert await all_emails(test.database) == ["a", "b", "c", "d"]
        await first.close()
        await second.close()


async def test_a_rollback_that_would_undo_another_ones_write_is_refused_not_done(a_test, stored):
    with a_test() as test:
        first, second = test.database.open(), test.database.open()
        for email, session in (("a", first), ("b", second)):
            session.add(User(email=email))
            await session.flush()
        with pytest.raises(CrossedTransactionsError, match="real_commits=True"):
            await first.rollback()
        await second.commit()
        assert await all_emails(test.database) == ["a", "b"]
    assert await stored() == []


async def test_tasks_beside_each_other_take_turns(a_test):
    """As on a database: one of two equal rows is refused, and the other one is stored."""
    with a_test() as test:
        results = await asyncio.gather(
            *(add(test.database, email) for email in ("ada", "ada", "joan")),
            return_exceptions=True,
        )
        assert [type(each) for each in results].count(IntegrityError) == 1
        assert await all_emails(test.database) == ["ada", "joan"]


@pytest.fixture
def endless_patience(monkeypatch):
    """Who waits for another transaction does so until it ends."""
    monkeypatch.setattr(turns, "_PATIENCE", 600.0)


async def test_a_request_inside_the_test_s_transaction_does_not_wait_for_it(
    a_test, endless_patience
):
    app = HawkAPI()
    init_database(app, url="sqlite+aiosqlite://")

    @app.post("/users")
    async def create(email: str, session: AsyncSession = Depends(get_session)):
        session.add(User(email=email))
        await session.flush()
        return {"emails": await emails(session)}

    with a_test() as test, all_on(test), test.session() as session:
        session.add(User(email="ada"))
        await session.flush()
        async with asyncio.timeout(20):
            answer = await testing.TestClient(app).async_post("/users?email=joan")
        assert answer.json() == {"emails": ["ada", "joan"]}
        await session.commit()
        assert await all_emails(test.database) == ["ada", "joan"]


async def test_a_fixture_s_transaction_is_waited_for_by_nobody(a_test, endless_patience, runtime):
    """It was begun in a task that is none of the test's, and stays open while the test runs."""
    with a_test() as test:
        runtime.transaction.is_setting_up = True
        session = test.database.open()

        async def begin() -> None:
            session.add(User(email="ada"))
            await session.flush()

        await asyncio.create_task(begin())
        test.call_begins()
        async with asyncio.timeout(20):
            await add(test.database, "joan")
        await session.commit()
        assert await all_emails(test.database) == ["ada", "joan"]
        await session.close()


async def test_a_task_inside_a_transaction_does_not_wait_for_it(a_test, endless_patience):
    with a_test() as test:
        async with test.database.session() as session:
            session.add(User(email="ada"))
            await session.flush()
            async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
                tasks.create_task(add(test.database, "joan"))
        assert await all_emails(test.database) == ["ada", "joan"]


async def test_who_waits_for_one_that_waits_for_it_goes_on(a_test):
    """Two tasks that know nothing of each other, as when a test asks a server in a thread."""
    with a_test() as test:
        is_open, may_end = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            async with test.database.session() as session:
                session.add(User(email="ada"))
                await session.flush()
                is_open.set()
                await may_end.wait()

        holder = asyncio.create_task(hold())
        await is_open.wait()
        async with asyncio.timeout(20):
            await asyncio.create_task(add(test.database, "joan"))
        may_end.set()
        await holder
        assert await all_emails(test.database) == ["ada", "joan"]


async def test_statements_at_the_same_time_do_not_meet_on_the_connection(a_test):
    with a_test() as test, test.session() as session:
        session.add(User(email="ada"))
        await session.flush()
        found = await asyncio.gather(*(all_emails(test.database) for _ in range(20)))
        assert found == [["ada"]] * 20


async def test_a_read_only_session_is_refused_its_writes(a_test):
    with a_test() as test:
        await add(test.database, "ada")
        session = test.database.open(access=Access.READ)
        assert await emails(session) == ["ada"]
        with pytest.raises(ReadOnlyError):
            await session.execute(insert(User).values(email="eve"))
        assert await emails(session) == ["ada"]
        with pytest.raises(TransactionRequiredError):
            await session.begin_nested()
        await session.close()
        await add(test.database, "joan")


async def test_a_session_writes_inside_a_read_only_one(a_test):
    with a_test() as test:
        reader = test.database.open(access=Access.SNAPSHOT)
        assert await emails(reader) == []
        await add(test.database, "ada")
        await reader.close()
        assert await all_emails(test.database) == ["ada"]


async def test_a_replica_shows_what_the_primary_committed(a_test):
    with a_test() as test:
        test.add("replica", test.database.get().config)
        await add(test.database, "ada")
        async with test.database.session("replica", commit=False) as session:
            assert await emails(session) == ["ada"]


async def test_an_engine_past_all_sessions_takes_part(a_test, stored):
    with a_test() as test:
        engine = test.database.get().engine
        async with engine.begin() as connection:
            await connection.execute(insert(User).values(email="ada"))
        async with engine.connect() as connection:
            raw = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await raw.execute(insert(User).values(email="joan"))
            with pytest.raises(IntegrityError):
                await raw.execute(insert(User).values(email="joan"))
        assert await all_emails(test.database) == ["ada", "joan"]
    assert await stored() == []


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_a_transaction_that_is_ended_by_text_ends_no_more_than_itself(a_test, stored, end):
    with a_test() as test:
        await add(test.database, "ada")
        async with test.database.session(commit=False) as session:
            await session.execute(insert(User).values(email="joan"))
            await session.execute(text(end))
        left = ["ada", "joan"] if end == "COMMIT" else ["ada"]
        assert await all_emails(test.database) == left
    assert await stored() == []


async def test_tables_that_a_test_makes_are_gone_after_it(a_test, runtime):
    """MariaDB commits at CREATE TABLE: there the database is made anew."""
    for _ in range(2):
        with a_test() as test:
            await add(test.database, "ada")
            async with test.database.session() as session:
                await session.execute(text("CREATE TABLE extra (id INTEGER PRIMARY KEY)"))
                await session.execute(text("INSERT INTO extra VALUES (1)"))
            async with test.database.session(commit=False) as session:
                count = await session.scalar(text("SELECT count(*) FROM extra"))
                assert count == 1
        with a_test() as test, test.session() as session:
            names = await session.run_sync(
                lambda sync: inspect(sync.connection()).get_table_names()
            )
            assert "extra" not in names
            assert await emails(session) == []


async def test_a_column_that_a_test_adds_spoils_no_later_statement(a_test):
    """A server keeps plans for the table as it was, and drivers what they know of it."""
    for _ in range(2):
        with a_test() as test:
            await add(test.database, "ada")
            await execute(test.database, "ALTER TABLE users ADD COLUMN age INTEGER")
            await execute(test.database, "SELECT * FROM users")
            assert await all_emails(test.database) == ["ada"]


async def test_rows_can_be_streamed(a_test):
    with a_test() as test:
        await add(test.database, *(f"user-{n:03}" for n in range(500)))
        async with test.database.session(commit=False) as session:
            rows = await session.stream(select(User.email).order_by(User.email))
            seen = [row.email async for row in rows]
        assert seen == [f"user-{n:03}" for n in range(500)]


async def test_counts_and_keys_come_back(a_test):
    with a_test() as test:
        async with test.database.session() as session:
            user = User(email="ada")
            session.add(user)
            await session.flush()
            assert user.id > 0
            result = await session.execute(update(User).values(email="joan"))
            assert result.rowcount == 1
            await session.execute(insert(User), [{"email": "a"}, {"email": "b"}])
            assert await session.scalar(select(func.count(User.id))) == 3


async def test_callbacks_follow_the_commit(a_test):
    called: list[str] = []
    with a_test() as test:
        async with test.database.session() as session:
            session.add(User(email="ada"))
            on_commit(session, called.append, "committed")
        with pytest.raises(IntegrityError):
            async with test.database.session() as session:
                session.add(User(email="ada"))
                on_commit(session, called.append, "not committed")
    assert called == ["committed"]


async def test_a_cancelled_statement_is_undone_with_its_session(a_test, dialect):
    with a_test() as test:
        await add(test.database, "ada")

        async def wait() -> None:
            async with test.database.session() as session:
                session.add(User(email="eve"))
                await session.flush()
                await session.execute(text(SLOW[dialect]))

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await wait()
        async with asyncio.timeout(20):
            assert await all_emails(test.database) == ["ada"]


async def test_an_application_may_shut_down_while_the_test_s_session_is_open(a_test):
    with a_test() as test, test.session() as session:
        session.add(User(email="ada"))
        await session.flush()
        async with asyncio.timeout(20):
            assert await test.database.drain(timeout=600.0)
        await session.commit()
        assert await all_emails(test.database) == ["ada"]


async def test_a_session_of_a_test_that_has_ended_is_told_so(a_test, stored):
    with a_test() as test:
        left_open = test.database.open()
        left_open.add(User(email="ada"))
        await left_open.flush()
    with a_test() as test:
        with pytest.raises(OutsideTestError):
            await left_open.execute(insert(User).values(email="eve"))
        await left_open.close()
        assert await all_emails(test.database) == []
    assert await stored() == []


async def test_between_tests_nothing_is_written(a_test, stored):
    with a_test() as test:
        database = test.database
    with pytest.raises(OutsideTestError):
        await add(database, "ada")
    assert await stored() == []


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_connection_that_the_server_ends_costs_no_more_than_the_test(a_test, dialect):
    kill = {
        "postgresql": "SELECT pg_terminate_backend(pg_backend_pid())",
        "mariadb": "KILL CONNECTION_ID()",
    }[dialect]
    with a_test() as test:
        await add(test.database, "ada")
        with pytest.raises(Exception, match=r"(?i)terminat|lost|killed|interrupted"):
            await execute(test.database, kill)
        with pytest.raises(SharedConnectionError, match="lost"):
            await all_emails(test.database)
    with a_test() as test:
        await add(test.database, "joan")
        assert await all_emails(test.database) == ["joan"]


@pytest.mark.dialects("postgresql")
async def test_what_cannot_run_in_a_transaction_says_what_to_do(a_test):
    with a_test() as test:
        engine = test.database.get().engine
        async with engine.connect() as connection:
            raw = await connection.execution_options(isolation_level="AUTOCOMMIT")
            with pytest.raises(Exception, match="transaction block") as caught:
                await raw.execute(text("VACUUM users"))
        assert "real_commits=True" in caught.value.orig.__notes__[0]


@pytest.mark.dialects("postgresql")
async def test_what_belongs_to_one_loop_is_refused_and_what_does_not_is_bridged(a_test):
    with a_test() as test:
        async with test.database.get().engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert await driver.fetchval("SELECT 7") == 7
            with pytest.raises(SharedConnectionError, match="transaction"):
                driver.transaction()


def test_real_commits_are_real_and_gone_after_the_test(a_test, stored):
    async def use(database: Database) -> None:
        await add(database, "ada")
        assert await all_emails(database) == ["ada"]

    for _ in range(2):
        with a_test(real_commits=True) as test:
            asyncio.run(use(test.database))
        assert asyncio.run(stored()) == []


def test_real_commits_have_sessions_that_do_not_see_each_other_s_unfinished_work(a_test):
    async def use(database: Database) -> None:
        async with database.session() as session:
            session.add(User(email="ada"))
            await session.flush()
            assert await all_emails(database) == []
        assert await all_emails(database) == ["ada"]

    with a_test(real_commits=True) as test:
        asyncio.run(use(test.database))


async def test_a_statement_that_the_server_refuses_is_reported_as_ever(a_test):
    with a_test() as test:
        with pytest.raises(DBAPIError, match=r"(?i)nowhere"):
            await execute(test.database, "SELECT * FROM nowhere")
        await add(test.database, "ada")


class TestDeferredConstraints:
    """What a server checks at COMMIT alone."""

    CHILD = (
        "CREATE TABLE child (id INTEGER PRIMARY KEY, user_id INTEGER REFERENCES users (id) "
        "DEFERRABLE INITIALLY DEFERRED)"
    )

    @pytest.mark.dialects("postgresql", "sqlite")
    async def test_a_commit_that_would_fail_fails(self, a_test):
        with a_test() as test:
            await execute(test.database, self.CHILD)
            with pytest.raises(IntegrityError):
                await execute(test.database, "INSERT INTO child VALUES (1, 4711)")
            async with test.database.session() as session:
                await session.execute(text("INSERT INTO child VALUES (1, 1)"))
                await session.execute(insert(User).values(id=1, email="ada"))
            async with test.database.session(commit=False) as session:
                assert await session.scalar(text("SELECT count(*) FROM child")) == 1
