"""The primary is asked for its position after what may have written, and after nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hawkapi import HawkAPI
from sqlalchemy import Sequence, func, insert, select, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from authors import Author
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import ReadYourWrites, get_session
from hawkapi_sqlalchemy.core.routing import watched
from replica_service.client import HEADER
from routed import application, configs

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

INSERTION = "INSERT INTO authors (name) VALUES ('ada')"
SEQUENCE = Sequence("numbers")


@pytest.fixture
async def app(stocked: Cluster, dialect: str) -> AsyncIterator[HawkAPI]:
    stocked.primary.execute("CREATE SEQUENCE numbers", database=stocked.database)
    if dialect == "postgresql":
        stocked.primary.execute("GRANT ALL ON numbers TO PUBLIC", database=stocked.database)
    tokens = ReadYourWrites(secret="s" * 32)
    async with application(configs(stocked), read_your_writes=tokens) as app:
        yield app


async def nothing(session: AsyncSession) -> None:
    del session


async def read(session: AsyncSession) -> None:
    author = await session.get(Author, 1)
    assert author is not None
    assert await session.scalar(select(func.count()).select_from(Author)) >= 3
    await session.scalars(select(Author).options(selectinload(Author.books)))
    await author.awaitable_attrs.books
    await session.refresh(author)


async def read_by_connection(session: AsyncSession) -> None:
    connection = await session.connection()
    assert len((await connection.execute(select(Author.id))).all()) == 3


async def stream(session: AsyncSession) -> None:
    assert len([each async for each in await session.stream(select(Author.id))]) == 3


async def change_nothing(session: AsyncSession) -> None:
    author = await session.get(Author, 1)
    assert author is not None
    author.name = "author 1"
    await session.flush()


async def commit_twice(session: AsyncSession) -> None:
    await read(session)
    await session.commit()
    await read(session)


READ = [nothing, read, read_by_connection, stream, change_nothing, commit_twice]


@pytest.mark.parametrize("work", READ)
async def test_after_what_only_reads_it_is_not_asked(app, request_to, asked, work) -> None:
    for _ in range(2):
        reply = await request_to(app, work, get_session)
        assert (reply.status, HEADER.lower() in reply.headers) == (200, False)
    assert asked == []


async def flush(session: AsyncSession) -> None:
    session.add(Author(name="ada"))
    await session.flush()


async def add(session: AsyncSession) -> None:
    await read(session)
    session.add(Author(name="ada"))


async def write_then_read(session: AsyncSession) -> None:
    await flush(session)
    await read(session)


async def write_in_core(session: AsyncSession) -> None:
    await session.execute(insert(Author).values(name="ada"))


async def write_by_connection(session: AsyncSession) -> None:
    await (await session.connection()).execute(insert(Author), [{"name": "a"}, {"name": "b"}])


async def write_text(session: AsyncSession) -> None:
    await session.execute(text(INSERTION))


async def write_driver_sql(session: AsyncSession) -> None:
    await (await session.connection()).exec_driver_sql(INSERTION)


async def write_past_sqlalchemy(session: AsyncSession) -> None:
    raw = await (await session.connection()).get_raw_connection()
    driver: Any = raw.driver_connection
    if hasattr(driver, "fetchrow"):
        await driver.execute(INSERTION)
    else:
        async with driver.cursor() as cursor:
            await cursor.execute(INSERTION)


async def write_past_sqlalchemy_in_sync_code(session: AsyncSession) -> None:
    def work(connection: Connection) -> None:
        connection.connection.cursor().execute(INSERTION)

    await (await session.connection()).run_sync(work)


async def take_a_number(session: AsyncSession) -> None:
    await session.scalar(select(SEQUENCE.next_value()))
    await flush(session)


async def write_and_commit_and_read(session: AsyncSession) -> None:
    await flush(session)
    await session.commit()
    await read(session)


WRITE = [
    flush,
    add,
    write_then_read,
    write_in_core,
    write_by_connection,
    write_text,
    write_driver_sql,
    write_past_sqlalchemy,
    write_past_sqlalchemy_in_sync_code,
    take_a_number,
    write_and_commit_and_read,
]


@pytest.mark.parametrize("work", WRITE)
async def test_after_what_writes_it_is_asked_once(app, request_to, asked, work) -> None:
    for times in (1, 2):
        # On a connection that has only read, and on one that has written, the time before.
        assert (await request_to(app, read, get_session)).status == 200
        reply = await request_to(app, work, get_session)
        assert (reply.status, HEADER.lower() in reply.headers) == (200, True)
        assert len(asked) == times


async def take_the_sequence(session: AsyncSession) -> None:
    connection = await session.connection()
    await connection.run_sync(lambda connection: connection.scalar(SEQUENCE))


async def call_a_function(session: AsyncSession) -> None:
    await session.scalar(select(func.version()))


async def lock(session: AsyncSession) -> None:
    await session.scalars(select(Author).with_for_update())


async def savepoint(session: AsyncSession) -> None:
    async with session.begin_nested():
        await read(session)


async def ask_in_text(session: AsyncSession) -> None:
    await session.execute(text("SELECT 1"))


@pytest.mark.parametrize("work", [take_the_sequence, call_a_function, lock, savepoint, ask_in_text])
async def test_after_what_might_have_written_it_is_asked(app, request_to, asked, work) -> None:
    assert (await request_to(app, work, get_session)).status == 200
    assert len(asked) == 1


@pytest.mark.dialects("postgresql")
async def test_an_sqlalchemy_without_the_private_names_is_asked_each_time(
    stocked, request_to, asked, monkeypatch
) -> None:
    monkeypatch.setattr(watched, "_PRIVATE_NAMES", ("_no_such_name",))
    tokens = ReadYourWrites(secret="s" * 32)
    async with application(configs(stocked), read_your_writes=tokens) as app:
        assert (await request_to(app, read, get_session)).status == 200
    assert len(asked) == 1


@pytest.mark.parametrize("name", watched._PRIVATE_NAMES)
@pytest.mark.dialects("sqlite")
def test_this_sqlalchemy_has_the_private_names(name: str) -> None:
    assert hasattr(Connection, name)
