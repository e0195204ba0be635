"""What an engine's sessions keep, and what an engine is for, whoever holds it."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import insert, select, text

from hawkapi_sqlalchemy.core import (
    ConfigurationError,
    Database,
    DatabaseConfig,
    ReadOnlyError,
    create_engine,
    on_commit,
)
from schema import Base, User


async def test_a_session_outlives_the_engine_that_nobody_holds_any_more(
    url: str, stored: Callable[[], Awaitable[list[str]]]
) -> None:
    """`create_engine(config).sessionmaker` is all that a worker may keep."""
    maker = create_engine(DatabaseConfig(url)).sessionmaker
    gc.collect()
    async with maker() as session:
        session.add(User(email="ada"))
        await session.flush()
        gc.collect()
        await session.commit()
        await session.bind.dispose()

    assert await stored() == ["ada"]


async def test_every_session_of_a_read_only_database_is_read_only(url: str) -> None:
    engine = create_engine(DatabaseConfig(url, read_only=True))
    async with engine.sessionmaker() as session:
        with pytest.raises(ReadOnlyError):
            await session.execute(insert(User).values(email="ada"))
    async with engine.engine.connect() as connection:
        with pytest.raises(ReadOnlyError):
            await connection.execute(insert(User).values(email="ada"))
    await engine.dispose()


@pytest.mark.parametrize(
    "arguments",
    [{"engine_kwargs": {"isolation_level": "autocommit"}}, {"session_kwargs": {"twophase": True}}],
    ids=["autocommit", "twophase"],
)
def test_what_would_void_the_promises_is_refused(arguments) -> None:
    with pytest.raises(ConfigurationError, match=r"AUTOCOMMIT|twophase"):
        DatabaseConfig("postgresql+asyncpg://localhost/app", **arguments)


async def test_what_a_callback_does_with_the_session_that_has_committed_is_refused_loudly(
    standalone: Database, stored, caplog: pytest.LogCaptureFixture
) -> None:
    async with standalone.session() as session:

        async def misuse() -> None:
            await session.execute(insert(User).values(email="eve"))

        session.add(User(email="ada"))
        on_commit(session, misuse)

    assert await stored() == ["ada"]
    assert "an on_commit callback used the session" in caplog.text
    assert standalone.checked_out == 0


@pytest.mark.dialects("sqlite")
async def test_nothing_after_a_rollback_of_the_library_is_stored_by_itself(
    standalone: Database, stored
) -> None:
    """`OR ROLLBACK` ends the transaction; SQLite would then commit statement by statement."""
    add = "INSERT OR ROLLBACK INTO users (id, email) VALUES (:id, :email)"
    with pytest.raises(Exception, match="nothing of it is stored"):
        async with standalone.session() as session:
            await session.execute(text(add), {"id": 1, "email": "ada"})
            with pytest.raises(Exception, match="UNIQUE"):
                await session.execute(text(add), {"id": 1, "email": "eve"})
            await session.execute(text(add), {"id": 2, "email": "bob"})

    assert await stored() == []
    async with standalone.session() as session:
        session.add(User(email="ada"))
    assert await stored() == ["ada"]


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_connection_that_is_still_in_a_transaction_is_not_handed_on(url: str) -> None:
    database = Database()
    engine = database.add("primary", DatabaseConfig(url, pool_size=1, max_overflow=0))
    async with engine.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        if engine.engine.dialect.name == "postgresql":
            await driver.execute("BEGIN")
        else:
            await driver.begin()
    async with database.session() as session:
        session.add(User(email="ada"))
    async with database.session() as session:
        assert (await session.scalars(select(User.email))).all() == ["ada"]
    await database.dispose()


@pytest.mark.dialects("sqlite")
async def test_a_shared_cache_url_gets_waiting_locks_too() -> None:
    url = "sqlite+aiosqlite:///file:shared?mode=memory&cache=shared&uri=true"
    database = Database()
    engine = database.add("primary", DatabaseConfig(url))
    async with engine.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    assert "cache" not in engine.engine.url.query
    async with database.session() as session:
        session.add(User(email="ada"))
    async with database.session(commit=False) as session:
        assert (await session.scalars(select(User.email))).all() == ["ada"]
    await database.dispose()
