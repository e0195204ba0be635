"""`Database`: engines by name, and sessions on them."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from hawkapi_sqlalchemy.core import (
    ConfigurationError,
    Database,
    DatabaseConfig,
    Engine,
    SessionEndedError,
    UnknownDatabaseError,
    UnknownDatabaseWarning,
    create_engine,
)
from schema import User

MEMORY = "sqlite+aiosqlite://"


@pytest.fixture
async def two(make_database: Any) -> Any:
    """A Database of `primary` and `analytics`."""
    database: Database = make_database(MEMORY)
    database.add("analytics", DatabaseConfig(MEMORY))
    return database


async def test_an_engine_tells_what_it_is_made_of() -> None:
    config = DatabaseConfig(MEMORY)
    engine = create_engine(config, name="analytics")
    assert isinstance(engine, Engine)
    assert isinstance(engine.engine, AsyncEngine)
    assert isinstance(engine.sessionmaker, async_sessionmaker)
    assert (engine.config, engine.name) == (config, "analytics")
    await engine.dispose()


def test_an_engine_without_a_name_is_the_primary() -> None:
    assert create_engine(DatabaseConfig(MEMORY)).name == "primary"


def test_engines_are_registered_by_name_in_order(two: Database) -> None:
    assert list(two.engines) == ["primary", "analytics"]
    added = two.add("third", DatabaseConfig(MEMORY))
    assert two.engines["third"] is added
    assert added.name == "third"


def test_a_database_begins_empty_and_says_so_when_asked() -> None:
    database = Database()
    assert database.engines == {}
    with pytest.raises(UnknownDatabaseError, match="registered: none") as caught:
        database.get()
    assert isinstance(caught.value, LookupError)


def test_get_answers_the_primary_by_default_and_others_by_name(two: Database) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert two.get() is two.engines["primary"]
        assert two.get("analytics") is two.engines["analytics"]


def test_get_falls_back_to_the_primary_with_a_warning_that_names_the_caller(two: Database) -> None:
    with pytest.warns(UnknownDatabaseWarning, match="'shard:7'") as caught:
        assert two.get("shard:7") is two.engines["primary"]
    assert caught[0].filename == __file__


def test_a_replica_that_is_not_registered_is_the_primary_without_a_warning(two: Database) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert two.get("replica") is two.engines["primary"]


def test_a_name_is_registered_once(two: Database) -> None:
    first = two.engines["analytics"]
    with pytest.raises(ConfigurationError, match="already registered as 'analytics'"):
        two.add("analytics", DatabaseConfig(MEMORY))
    assert two.engines["analytics"] is first


@pytest.mark.parametrize("name", ["shard:7", "replica"])
async def test_a_writing_session_never_falls_back(two: Database, name: str) -> None:
    with pytest.raises(UnknownDatabaseError) as caught:
        async with two.session(name):
            pass
    assert caught.value.name == name
    assert caught.value.registered == ("primary", "analytics")
    assert "'primary', 'analytics'" in str(caught.value)
    with pytest.raises(UnknownDatabaseError):
        await two.run(lambda _: pytest.fail("ran"), name=name)


async def test_a_reading_session_under_an_unknown_name_reads_the_primary(two: Database) -> None:
    with pytest.warns(UnknownDatabaseWarning, match="'shard:7'"):
        async with two.session("shard:7", commit=False) as session:
            assert await session.scalar(text("PRAGMA query_only")) == 1


async def test_sessions_reach_the_database_of_their_name(two: Database) -> None:
    async with two.session("analytics") as session:
        await session.execute(text("CREATE TABLE here (x INTEGER)"))
    async with two.session() as session:
        assert await session.scalar(text("SELECT count(*) FROM sqlite_master")) == 0


async def test_a_session_commits_at_its_end(url: str, stored: Any, make_database: Any) -> None:
    database: Database = make_database(url)
    async with database.session() as session:
        assert isinstance(session, AsyncSession)
        user = User(email="ada")
        session.add(user)
    assert await stored() == ["ada"]
    assert user.id is not None, "objects stay readable after the commit"
    assert database.checked_out == 0


async def test_an_exception_rolls_back_and_goes_on(
    url: str, stored: Any, make_database: Any
) -> None:
    database: Database = make_database(url)
    with pytest.raises(ZeroDivisionError):
        async with database.session() as session:
            session.add(User(email="ada"))
            await session.flush()
            raise ZeroDivisionError
    assert await stored() == []
    assert database.checked_out == 0


async def test_without_commit_only_an_explicit_one_stores(
    url: str, stored: Any, make_database: Any
) -> None:
    database: Database = make_database(url)
    async with database.session(commit=False) as session:
        session.add(User(email="kept"))
        await session.commit()
        session.add(User(email="dropped"))
        await session.flush()
    assert await stored() == ["kept"]


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    ("commit", "work", "warned"),
    [
        (False, "flush", True),
        (False, "flush and commit", False),
        (False, "read", False),
        (True, "flush", False),
        (True, "raise", False),
    ],
)
async def test_writes_that_nobody_committed_are_told_in_the_log(
    commit: bool,
    work: str,
    warned: bool,
    url: str,
    make_database: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    database: Database = make_database(url)
    with caplog.at_level(logging.WARNING, "hawkapi_sqlalchemy"):
        async with database.session(commit=commit) as session:
            if "flush" in work:
                session.add(User(email="ada"))
                await session.flush()
            else:
                await session.scalar(text("SELECT 1"))
            if "commit" in work:
                await session.commit()
    expected = (
        "database 'primary': a session opened with commit=False ended with writes that nobody "
        "committed; they are rolled back"
    )
    assert [each.getMessage() for each in caplog.records] == [expected] * warned


async def test_a_session_is_sealed_at_its_end_and_says_what_to_use_instead(two: Database) -> None:
    async with two.session() as session:
        await session.execute(text("SELECT 1"))
    for use in (
        lambda: session.execute(text("SELECT 1")),
        lambda: session.add(User(email="ada")),
        lambda: session.commit(),
    ):
        with pytest.raises(SessionEndedError, match=r"db\.session"):
            use()
    await session.close()


async def test_two_databases_made_of_configurations_need_a_primary() -> None:
    with pytest.raises(ConfigurationError, match="needs a 'primary'"):
        Database.from_configs({"replica": DatabaseConfig(MEMORY)})
    database = Database.from_configs({"primary": DatabaseConfig(MEMORY)})
    assert list(database.engines) == ["primary"]
    await database.dispose()
