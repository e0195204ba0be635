"""A migration gives way to other sessions, and is run again."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import make_url

from hawkapi_sqlalchemy.alembic import TableLockedError
from hawkapi_sqlalchemy.alembic.engines import migration_engine

LONG_ENOUGH = 60.0
ADD = 'op.add_column("pets", sa.Column("age", sa.Integer))'

READS = {
    "sqlite": ["BEGIN IMMEDIATE", "UPDATE pets SET name = 'Tom'"],
    "postgresql": ["SELECT name FROM pets"],
    "mariadb": ["SELECT name FROM pets"],
}
"""What an application's open transaction does, so that the table cannot be changed."""


@contextmanager
def transaction(url: str, statements: list[str]) -> Iterator[threading.Event]:
    """Keep a transaction open in another session until the event that it yields is set."""
    ready, done = threading.Event(), threading.Event()

    async def hold() -> None:
        engine: Any = migration_engine(make_url(url))
        async with engine.connect() as connection:
            if make_url(url).get_backend_name() == "sqlite":
                # Its BEGIN stands among the statements.
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            for each in statements:
                await connection.exec_driver_sql(each)
            ready.set()
            # Not for ever, should nobody give way.
            await asyncio.to_thread(done.wait, LONG_ENOUGH)

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert ready.wait(LONG_ENOUGH)
        yield done
    finally:
        done.set()
        thread.join()


class CallAt(logging.Handler):
    """Calls a function when a message is logged for the first time."""

    def __init__(self, beginning: str, call: Callable[[], object]) -> None:
        super().__init__()
        self.beginning = beginning
        self.call = call
        self.seen = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self.beginning):
            self.seen += 1
            if self.seen == 1:
                self.call()


@pytest.fixture
def migrated(project: Any) -> Any:
    """The project with its first migration, and with a limit of a second."""
    project.upgrade()
    project.options |= {"lock_timeout": 1.0, "lock_attempts": 5}
    return project


@contextmanager
def at_first_retry(call: Callable[[], object]) -> Iterator[CallAt]:
    logger = logging.getLogger("hawkapi_sqlalchemy.alembic")
    handler = CallAt("a lock was not free", call)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def revision(project: Any) -> str:
    return project.rows("SELECT version_num FROM alembic_version")[0][0]


def test_a_migration_that_meets_a_lock_completes_once_it_is_free(
    migrated: Any, dialect: str
) -> None:
    migrated.add("two", ADD, after="one")
    with transaction(migrated.url, READS[dialect]) as end, at_first_retry(end.set) as retries:
        migrated.upgrade()
    assert retries.seen >= 1
    assert migrated.rows("SELECT name, age FROM pets") == [("Rex", None)]
    assert revision(migrated) == "two"


def test_it_gives_up_after_its_attempts_and_stores_nothing(migrated: Any, dialect: str) -> None:
    migrated.add("two", ADD, after="one")
    migrated.options["lock_attempts"] = 2
    with (
        transaction(migrated.url, READS[dialect]),
        pytest.raises(TableLockedError, match=r"2 attempts: nothing of that migration") as caught,
    ):
        migrated.upgrade()
    assert caught.value.attempts == 2
    assert revision(migrated) == "one"
    migrated.upgrade()
    assert revision(migrated) == "two"


@pytest.mark.dialects("postgresql", "mariadb")
def test_queries_behind_a_migration_that_waits_are_not_held_up_for_longer_than_its_limit(
    migrated: Any, dialect: str
) -> None:
    """The first session goes on holding the table; the reader gets through all the same."""
    migrated.add("two", ADD, after="one")
    waiting = {
        "postgresql": "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        " WHERE NOT granted AND datname = current_database()",
        "mariadb": "SELECT count(*) FROM information_schema.processlist"
        " WHERE db = database() AND state LIKE 'Waiting for table metadata lock'",
    }[dialect]
    seen: list[Any] = []
    migration = threading.Thread(target=migrated.upgrade)
    with transaction(migrated.url, READS[dialect]):
        migration.start()
        deadline = time.monotonic() + LONG_ENOUGH
        while not migrated.rows(waiting)[0][0]:
            assert time.monotonic() < deadline
        # Queued behind the migration, which is queued behind the open transaction.
        reader = threading.Thread(target=lambda: seen.extend(migrated.rows("SELECT 1 FROM pets")))
        reader.start()
        reader.join(LONG_ENOUGH / 2)
        answered = list(seen)
    reader.join()
    migration.join()
    assert answered == [(1,)]
    assert revision(migrated) == "two"


@pytest.mark.dialects("postgresql")
def test_migrations_before_the_one_that_meets_a_lock_are_stored_and_not_repeated(
    migrated: Any,
) -> None:
    migrated.add("two", "op.execute(\"INSERT INTO pets (name) VALUES ('Tom')\")", after="one")
    migrated.add("three", ADD, after="two")
    done: list[str] = []
    with transaction(migrated.url, READS["postgresql"]) as end:

        def look() -> None:
            done.append(revision(migrated))
            end.set()

        thread = threading.Thread(target=look)
        with at_first_retry(thread.start):
            migrated.upgrade()
        thread.join()
    assert done == ["two"]
    assert revision(migrated) == "three"
    assert sorted(migrated.rows("SELECT name FROM pets")) == [("Rex",), ("Tom",)]


@pytest.mark.dialects("mariadb")
def test_a_migration_that_is_stored_in_part_is_not_repeated(migrated: Any) -> None:
    """MariaDB commits each change of a table: the first would be made twice."""
    migrated.add("two", 'op.create_table("toys", sa.Column("id", sa.Integer))\n' + ADD, after="one")
    with (
        transaction(migrated.url, READS["mariadb"]),
        pytest.raises(TableLockedError, match=r"1 attempt: a part of the migration") as caught,
    ):
        migrated.upgrade()
    assert caught.value.is_partial
    assert revision(migrated) == "one"


AFTER_A_BLOCK = """
with op.get_context().autocommit_block():
    op.execute("INSERT INTO pets (name) VALUES ('Tom')")
op.add_column("pets", sa.Column("age", sa.Integer))
"""
INSIDE_A_BLOCK = """
with op.get_context().autocommit_block():
    op.execute("INSERT INTO pets (name) VALUES ('Tom')")
    op.add_column("pets", sa.Column("age", sa.Integer))
"""


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize("upgrade", [AFTER_A_BLOCK, INSIDE_A_BLOCK], ids=["after", "inside"])
def test_once_a_block_in_autocommit_has_done_something_nothing_is_repeated(
    migrated: Any, upgrade: str
) -> None:
    migrated.add("two", upgrade, after="one")
    with transaction(migrated.url, READS["postgresql"]), pytest.raises(TableLockedError) as caught:
        migrated.upgrade()
    assert caught.value.is_partial
    assert sorted(migrated.rows("SELECT name FROM pets")) == [("Rex",), ("Tom",)]


@pytest.mark.dialects("postgresql")
def test_a_relative_destination_is_not_counted_anew(migrated: Any) -> None:
    """After `+2` met a lock in its second step, two more would be one too many."""
    migrated.add("two", "op.execute(\"INSERT INTO pets (name) VALUES ('Tom')\")", after="one")
    migrated.add("three", ADD, after="two")
    migrated.add("four", "pass", after="three")
    with transaction(migrated.url, READS["postgresql"]), pytest.raises(TableLockedError):
        command.upgrade(migrated.config, "+2")
    assert revision(migrated) == "two"


@pytest.mark.dialects("postgresql", "mariadb")
def test_a_statement_that_takes_too_long_is_ended_and_not_repeated(
    migrated: Any, dialect: str
) -> None:
    sleep = {"postgresql": "SELECT pg_sleep(60)", "mariadb": "SELECT sleep(60) FROM pets"}[dialect]
    migrated.add("two", f'op.execute("{sleep}")', after="one")
    migrated.options["statement_timeout"] = 0.3
    began = time.monotonic()
    with pytest.raises(Exception, match=r"statement timeout|max_statement_time"):
        migrated.upgrade()
    assert time.monotonic() - began < LONG_ENOUGH / 2
    assert revision(migrated) == "one"


@pytest.mark.dialects("postgresql")
def test_limits_hold_in_every_migration_and_after_one_that_failed(migrated: Any) -> None:
    migrated.add("two", "op.execute(\"SET LOCAL lock_timeout = '7s'\")", after="one")
    migrated.add(
        "three",
        """
        limit = op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar()
        op.execute(f"INSERT INTO pets (name) VALUES ('{limit}')")
        """,
        after="two",
    )
    migrated.upgrade()
    assert ("1s",) in migrated.rows("SELECT name FROM pets")


@pytest.mark.dialects("postgresql")
def test_without_limits_the_servers_own_hold(migrated: Any) -> None:
    migrated.options["lock_timeout"] = None
    migrated.add(
        "two",
        """
        limit = op.get_bind().exec_driver_sql("SHOW lock_timeout").scalar()
        op.execute(f"INSERT INTO pets (name) VALUES ('{limit}')")
        """,
        after="one",
    )
    migrated.upgrade()
    assert ("0",) in migrated.rows("SELECT name FROM pets")


@pytest.mark.dialects("sqlite")
def test_a_commit_that_stores_the_beginning_of_the_next_migration_too(
    empty_project: Any, tmp_path: Path
) -> None:
    """A run is one transaction on SQLite, which a block in AUTOCOMMIT ends."""
    free = tmp_path / "free"
    empty_project.add("one", 'op.create_table("log", sa.Column("n", sa.Integer))')
    empty_project.add(
        "two",
        f"""
        import pathlib, sqlite3
        op.execute("INSERT INTO log VALUES (1)")
        with op.get_context().autocommit_block():
            pass
        if not pathlib.Path({str(free)!r}).exists():
            pathlib.Path({str(free)!r}).touch()
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise sa.exc.OperationalError("INSERT", None, error)
        op.execute("INSERT INTO log VALUES (3)")
        """,
        after="one",
    )
    with pytest.raises(TableLockedError) as caught:
        empty_project.upgrade()
    assert caught.value.is_partial
    assert empty_project.rows("SELECT n FROM log") == [(1,)]


@pytest.mark.dialects("postgresql")
def test_an_index_that_is_built_concurrently_waits_for_old_transactions_beyond_the_limit(
    migrated: Any,
) -> None:
    """Given up it would be left there, invalid."""
    migrated.options["lock_timeout"] = 0.3
    migrated.add(
        "two",
        """
        with op.get_context().autocommit_block():
            op.create_index("ix", "pets", ["name"], postgresql_concurrently=True)
        op.execute("INSERT INTO pets (name) SELECT current_setting('lock_timeout')")
        """,
        after="one",
    )
    with transaction(migrated.url, READS["postgresql"]) as done:
        timer = threading.Timer(1.5, done.set)
        timer.start()
        migrated.upgrade()
        timer.join()
    assert migrated.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix'::regclass") == [
        (True,)
    ]
    # Afterwards the limit holds again.
    assert ("300ms",) in migrated.rows("SELECT name FROM pets")


@pytest.mark.dialects("postgresql")
def test_an_index_that_failed_while_it_was_built_concurrently_is_not_tried_again(
    migrated: Any,
) -> None:
    migrated.run(lambda connection: connection.exec_driver_sql("INSERT INTO pets VALUES (9, 'x')"))
    migrated.add(
        "two",
        """
        with op.get_context().autocommit_block():
            try:
                op.execute("CREATE UNIQUE INDEX CONCURRENTLY ix ON pets ((1))")
            except sa.exc.IntegrityError:
                pass
        raise sa.exc.OperationalError("", None, type("E", (Exception,), {"sqlstate": "55P03"})())
        """,
        after="one",
    )
    with pytest.raises(TableLockedError) as caught:
        migrated.upgrade()
    assert caught.value.is_partial
    assert caught.value.attempts == 1
