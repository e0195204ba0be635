"""What is done at BEGIN and COMMIT, by SQLAlchemy's private names or, without them, by its events.

Both ways are held to the same behaviour.
"""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import IntegrityError

from hawkapi_sqlalchemy.core import Database, TransactionLostError, hooks
from hawkapi_sqlalchemy.core.access import Access
from wire import Wire, traced

CLASS, EVENTS = "by the connection's class", "by events"
COUNT = text("SELECT n FROM counters WHERE id = 1")
INCREMENT = text("UPDATE counters SET n = n + 1 WHERE id = 1")


@pytest.fixture(params=[CLASS, EVENTS])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == EVENTS:
        monkeypatch.setattr(hooks, "_has_private_names", lambda: False)
    return request.param


@pytest.fixture
def database(way: str, counters: str, make_database: Any) -> Database:
    return make_database(counters)


@pytest.fixture
def statements(database: Database) -> list[str]:
    """What SQLite runs on the connections of the Database."""
    wire = Wire("")
    traced(database.get().engine.sync_engine, wire)
    return wire.statements


def swallow(kind: str) -> str:
    """An insertion that fails, and with it the whole transaction."""
    return {
        "sqlite": "INSERT OR ROLLBACK INTO counters VALUES (1, 0)",
        "postgresql": "INSERT INTO counters VALUES (1, 0)",
    }[kind]


async def lose(connection: Any, dialect: str) -> None:
    await connection.execute(INCREMENT)
    with pytest.raises(IntegrityError):
        await connection.execute(text(swallow(dialect)))


def test_this_sqlalchemy_has_the_private_names() -> None:
    """Otherwise every statement pays for the events."""
    assert hooks._has_private_names()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Connection, "_begin_impl"),
        (Connection, "_commit_impl"),
        (Engine, "_connection_cls"),
        (Engine, "_option_cls"),
    ],
)
def test_a_name_that_is_missing_is_noticed(
    owner: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(owner, name)
    assert not hooks._has_private_names()


def test_a_flag_that_is_missing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "_IN_BEGIN", "_Connection__renamed")
    assert not hooks._has_private_names()


@pytest.mark.dialects("sqlite", "postgresql")
async def test_a_commit_after_an_error_that_was_swallowed_is_refused(
    dialect: str, database: Database, ask: Any
) -> None:
    with pytest.raises(TransactionLostError):
        async with database.session() as session:
            await lose(session, dialect)
    assert await ask(str(COUNT)) == 0
    assert database.checked_out == 0
    async with database.session() as session:
        await session.execute(INCREMENT)
    assert await ask(str(COUNT)) == 1


@pytest.mark.dialects("sqlite", "postgresql")
@pytest.mark.parametrize("derived", [0, 1, 2])
async def test_so_is_one_on_a_connection_of_the_engine_and_of_engines_derived_from_it(
    derived: int, dialect: str, database: Database, ask: Any
) -> None:
    engine = database.get().engine
    for number in range(derived):
        engine = engine.execution_options(**{f"mine_{number}": True})
    with pytest.raises(TransactionLostError):
        async with engine.begin() as connection:
            await lose(connection, dialect)
    assert await ask(str(COUNT)) == 0
    async with engine.begin() as connection:
        await connection.execute(INCREMENT)
    assert await ask(str(COUNT)) == 1


@pytest.mark.dialects("postgresql")
async def test_an_error_that_a_savepoint_has_healed_prevents_nothing(
    dialect: str, database: Database, ask: Any
) -> None:
    async with database.session() as session:
        await session.execute(INCREMENT)
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                await session.execute(text(swallow(dialect)))
    assert await ask(str(COUNT)) == 1


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    ("access", "begin"),
    [
        (Access.WRITE, "BEGIN IMMEDIATE"),
        (Access.MANUAL, "BEGIN"),
        (Access.SNAPSHOT, "BEGIN"),
    ],
)
async def test_sqlite_begins_as_the_session_asks(
    access: Access, begin: str, database: Database, statements: list[str]
) -> None:
    async with database.get().session(access) as session:
        await session.execute(COUNT)
        assert [each for each in statements if each.startswith("BEGIN")] == [begin]
        await session.commit()
        await session.execute(COUNT)
    assert [each for each in statements if each.startswith("BEGIN")] == [begin] * 2


@pytest.mark.dialects("sqlite")
async def test_sqlite_begins_in_a_block_of_the_engines_own(
    database: Database, statements: list[str]
) -> None:
    for engine in (database.get().engine, database.get().engine.execution_options(mine=True)):
        async with engine.begin() as connection:
            await connection.execute(INCREMENT)
        assert [each for each in statements if each in ("BEGIN", "COMMIT")] == ["BEGIN", "COMMIT"]
        statements.clear()


@pytest.mark.dialects("sqlite")
async def test_what_the_hook_itself_executes_begins_no_transaction_of_its_own(
    database: Database, statements: list[str]
) -> None:
    """A change of `query_only` goes before BEGIN, in which SQLite would ignore nothing else."""
    engine = database.get()
    for access in (Access.SNAPSHOT, Access.WRITE):
        async with engine.session(access) as session:
            await session.execute(COUNT)
    wanted = [each for each in statements if each.startswith(("BEGIN", "PRAGMA query", "ROLLB"))]
    assert wanted == [
        "PRAGMA query_only=ON",
        "BEGIN",
        "ROLLBACK",
        "PRAGMA query_only=OFF",
        "BEGIN IMMEDIATE",
        "ROLLBACK",
    ]


async def test_without_events_of_the_users_own_no_statement_pays_for_events(
    counters: str, make_database: Any
) -> None:
    """That is what the private names are good for."""
    database: Database = make_database(counters)
    for access in Access:
        async with database.get().session(access) as session:
            connection = await session.connection()
            engine = connection.sync_connection.engine
            assert not connection.sync_connection._has_events
            # SQLAlchemy itself sets PostgreSQL's level and mode of a snapshot by an event.
            assert engine._has_events is (
                access is Access.SNAPSHOT and engine.dialect.name == "postgresql"
            )
    for engine in (database.get().engine, database.get().read_engine):
        async with engine.connect() as connection:
            assert not connection.sync_connection._has_events


def listen(engine: Engine) -> list[str]:
    """Listen as tracing would, and note what is heard."""
    heard: list[str] = []
    for name in ("begin", "commit", "rollback"):
        event.listen(engine, name, lambda _, name=name: heard.append(name))
    event.listen(
        engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, *_: heard.append(statement),
    )
    return heard


@pytest.mark.parametrize("late", [False, True], ids=["before", "after the first session"])
async def test_a_users_own_listeners_hear_everything(late: bool, database: Database) -> None:
    async def use() -> None:
        async with database.session() as session:
            await session.execute(INCREMENT)

    if late:
        await use()
    heard = listen(database.get().engine.sync_engine)
    await use()
    assert [heard[0], *heard[-2:]] == ["begin", str(INCREMENT), "commit"]
    heard.clear()
    async with database.get().engine.execution_options(mine=True).connect() as connection:
        await connection.execute(COUNT)
    assert [heard[0], *heard[-2:]] == ["begin", str(COUNT), "rollback"]


async def test_listeners_of_the_read_engine_hear_the_reads(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, read_only=True)
    heard = listen(database.get().read_engine.sync_engine)
    async with database.session(commit=False) as session:
        await session.execute(COUNT)
    assert heard == ["begin", str(COUNT), "rollback"]
