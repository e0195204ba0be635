"""`temporary_database` and `temporary_session`, on every database."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Table,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.core import CannotConnectError, ConfigurationError, Database
from hawkapi_sqlalchemy.pytest import temporary_database, temporary_session

METADATA = MetaData()
PETS = Table("pets", METADATA, Column("id", Integer, primary_key=True))


async def count(database: Database) -> int:
    async with database.session(commit=False) as session:
        return (await session.execute(select(func.count()).select_from(PETS))).scalar_one()


async def execute(url: Any, *statements: str) -> list[Any]:
    engine = create_async_engine(url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
            return list(result.scalars()) if result.returns_rows else []
    finally:
        await engine.dispose()


async def exists(database_url: str, name: str) -> bool:
    """Whether the server, or for SQLite the file system, has the database."""
    if database_url.startswith("sqlite"):
        return await asyncio.to_thread(Path(name).exists)
    column = "datname FROM pg_database" if "postgresql" in database_url else "schema_name"
    if column == "schema_name":
        column += " FROM information_schema.schemata"
    return name in await execute(database_url, f"SELECT {column}")


def name_of(database: Database) -> str:
    name = database.get().engine.url.database
    assert name is not None
    return name


async def test_a_database_in_memory_is_the_default():
    async with temporary_database(METADATA) as database:
        assert list(database.engines) == ["primary"]
        async with database.session() as session:
            await session.execute(insert(PETS))
        assert await count(database) == 1
    async with temporary_database(METADATA) as database:
        assert await count(database) == 0


async def test_the_schema_in_memory_is_dropped_at_the_end():
    metadata = MetaData()
    Table("pets", metadata, Column("id", Integer, primary_key=True))
    dropped: list[str] = []
    event.listen(metadata, "after_drop", lambda *_, **__: dropped.append("all"))
    async with temporary_database(metadata):
        assert dropped == []
    assert dropped == ["all"]


async def test_the_tables_are_there_and_what_is_written_is_kept_until_the_end(database_url):
    async with temporary_database(METADATA, url=database_url) as database:
        async with database.session() as session:
            await session.execute(insert(PETS))
        assert await count(database) == 1


async def test_a_url_object_with_a_password_serves_as_well_as_text(database_url):
    async with temporary_database(METADATA, url=make_url(database_url)) as database:
        assert await count(database) == 0


async def test_the_database_of_the_url_is_not_touched(database_url):
    await execute(
        database_url,
        "CREATE TABLE pets (id INTEGER PRIMARY KEY)",
        "INSERT INTO pets VALUES (7)",
    )
    async with temporary_database(METADATA, url=database_url) as database:
        assert await count(database) == 0
    assert await execute(database_url, "SELECT id FROM pets") == [7]


async def test_two_at_once_share_nothing(database_url):
    async with (
        temporary_database(METADATA, url=database_url) as first,
        temporary_database(METADATA, url=database_url) as second,
    ):
        async with first.session() as session:
            await session.execute(insert(PETS))
        assert (await count(first), await count(second)) == (1, 0)


async def test_it_is_gone_after_a_success(database_url):
    async with temporary_database(METADATA, url=database_url) as database:
        name = name_of(database)
        assert await exists(database_url, name)
    assert not await exists(database_url, name)


async def test_it_is_gone_after_a_failure_which_is_passed_on(database_url):
    name = ""
    with pytest.raises(LookupError, match="the test failed"):
        async with temporary_database(METADATA, url=database_url) as database:
            name = name_of(database)
            raise LookupError("the test failed")
    assert name
    assert not await exists(database_url, name)


async def test_it_is_gone_after_its_tables_could_not_be_made(database_url):
    names: list[str] = []
    metadata = MetaData()
    Table("pets", metadata, Column("id", Integer, primary_key=True))

    def refuse(_target: Any, connection: Any, **_: Any) -> None:
        names.append(connection.engine.url.database)
        raise LookupError("no table today")

    event.listen(metadata, "before_create", refuse)
    with pytest.raises(LookupError, match="no table today"):
        async with temporary_database(metadata, url=database_url):
            pytest.fail("was not reached")
    assert not await exists(database_url, names[0])


async def test_it_is_gone_after_a_cancellation_even_a_repeated_one(database_url):
    entered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def use() -> None:
        async with temporary_database(METADATA, url=database_url) as database:
            entered.set_result(name_of(database))
            await asyncio.sleep(60)

    task = asyncio.create_task(use())
    name = await entered
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await exists(database_url, name)


@pytest.mark.dialects("postgresql", "mariadb")
@pytest.mark.timeout(30)
async def test_a_session_left_open_does_not_hold_the_removal_up(database_url):
    async with temporary_database(METADATA, url=database_url) as database:
        name = name_of(database)
        engine = create_async_engine(make_url(database_url).set(database=name), poolclass=NullPool)
        left_open = await engine.connect()
        await left_open.execute(insert(PETS))
    assert not await exists(database_url, name)
    await left_open.invalidate()
    await left_open.close()


@pytest.mark.timeout(15)
@pytest.mark.parametrize("place", ["", "/file.db"], ids=["memory", "file"])
async def test_on_sqlite_too_a_session_left_open_does_not_hold_the_removal_up(place):
    """Waiting for its lock would take half a minute, and fail then."""
    async with temporary_database(METADATA, url=f"sqlite+aiosqlite://{place}") as database:
        left_open = database.get().sessionmaker()
        await left_open.execute(insert(PETS))
    await left_open.close()


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_server_that_cannot_be_reached_is_named_without_the_password(dialect):
    driver = {"postgresql": "postgresql+asyncpg", "mariadb": "mysql+aiomysql"}[dialect]
    with pytest.raises(CannotConnectError, match=r"127\.0\.0\.1:1") as caught:
        async with temporary_database(METADATA, url=f"{driver}://ada:s3cret@127.0.0.1:1/app"):
            pytest.fail("was not reached")
    assert "s3cret" not in str(caught.value)


async def test_a_kind_of_server_that_is_not_supported_is_refused():
    with pytest.raises(ConfigurationError, match="oracle"):
        async with temporary_database(METADATA, url="oracle+oracledb_async://u:s3cret@h/d"):
            pytest.fail("was not reached")


async def test_a_session_sees_the_tables_and_keeps_nothing(database_url):
    async with temporary_session(METADATA, url=database_url) as session:
        await session.execute(insert(PETS))
        await session.commit()
        assert (await session.execute(select(func.count()).select_from(PETS))).scalar_one() == 1
        assert await session.run_sync(lambda sync: inspect(sync.connection()).has_table("pets"))


async def test_a_test_may_leave_its_session_in_a_failed_transaction(database_url):
    async with temporary_session(METADATA, url=database_url) as session:
        await session.execute(insert(PETS).values(id=1))
        with pytest.raises(IntegrityError):
            await session.execute(insert(PETS).values(id=1))
