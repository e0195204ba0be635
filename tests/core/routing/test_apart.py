"""The replica's connection of a session that writes: given back in time, and never in the way."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert, select

from authors import COUNT, Author, Book
from hawkapi_sqlalchemy.core.routing import apart
from routed import application, configs

servers = pytest.mark.dialects("postgresql", "mariadb")
ADA = insert(Author).values(name="ada")
ONE_BY_ONE = select(Book).order_by(Book.id).execution_options(yield_per=1)


def test_this_sqlalchemy_has_the_private_name(monkeypatch) -> None:
    assert apart.has_private_name()
    monkeypatch.setattr(apart, "_CONNECTIONS", "_renamed")
    assert not apart.has_private_name()


@servers
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transaction"])
async def test_it_goes_back_before_the_first_write(stocked, request_to, autocommit):
    async with application(configs(stocked, autocommit_reads=autocommit)) as app:
        database = app.state.db

        def in_use() -> tuple[int, int]:
            return database.engines["primary"].checked_out, database.checked_out

        async def write(session):
            await session.scalar(COUNT)
            assert in_use() == (0, 1)
            await session.execute(ADA)
            assert in_use() == (1, 1)

        async def flush(session):
            author = await session.get(Author, 1)
            author.name = "other"
            await session.flush()
            assert in_use() == (1, 1)

        async def nest(session):
            await session.scalar(COUNT)
            async with session.begin_nested():
                assert in_use() == (0, 0)
                await session.scalar(COUNT)
                assert in_use() == (1, 1)

        async def begin(session):
            async with session.begin():
                await session.scalar(COUNT)
                await session.execute(ADA)
                assert in_use() == (1, 1)

        for work in (write, flush, nest, begin):
            reply = await request_to(app, work)
            assert (work.__name__, reply.status) == (work.__name__, 200)
            assert database.checked_out == 0


@pytest.mark.dialects("mariadb")
@pytest.mark.parametrize("autocommit", [True, False], ids=["autocommit", "transaction"])
async def test_a_stream_keeps_it_until_the_end(stocked, request_to, stored, autocommit):
    async with application(configs(stocked, autocommit_reads=autocommit)) as app:
        database = app.state.db
        in_use: list[int] = []

        async def work(session):
            async for book in await session.stream_scalars(ONE_BY_ONE):
                await session.execute(insert(Author).values(name=f"of {book.title}"))
                in_use.append(database.checked_out)

        async def leave_unread(session):
            await (await session.stream_scalars(ONE_BY_ONE)).first()
            stream = await session.stream_scalars(ONE_BY_ONE)
            await anext(stream)
            await session.execute(ADA)
            in_use.append(database.checked_out)

        async def read_before(session):
            await (await session.stream_scalars(ONE_BY_ONE)).all()
            await session.execute(ADA)
            in_use.append(database.checked_out)

        written = [f"of book {number}" for number in range(1, 7)]
        assert (await request_to(app, work)).status == 200
        assert await stored() == written
        assert in_use == [2] * 6
        for other, number in ((leave_unread, 2), (read_before, 1)):
            written.append("ada")
            assert (await request_to(app, other)).status == 200
            assert await stored() == written
            assert in_use.pop() == number
            assert database.checked_out == 0


@pytest.mark.dialects("mariadb")
async def test_what_was_kept_goes_back_too_if_the_transaction_cannot_be_rolled_back(
    shop, stocked, request_to, stored
):
    async def work(session):
        await anext(await session.stream_scalars(ONE_BY_ONE))
        await session.execute(ADA)
        assert shop.state.db.checked_out == 2
        await asyncio.to_thread(stocked.primary.disconnect, stocked.database)
        raise KeyError

    assert (await request_to(shop, work)).status == 500
    assert shop.state.db.checked_out == 0
    assert await stored() == []


@pytest.mark.dialects("postgresql")
async def test_postgresql_s_cursors_keep_it_where_reads_have_transactions(
    stocked, request_to, stored
):
    async with application(configs(stocked, autocommit_reads=False)) as app:

        async def work(session):
            async for book in await session.stream_scalars(ONE_BY_ONE):
                await session.execute(insert(Author).values(name=f"of {book.title}"))
            assert app.state.db.checked_out == 2

        assert (await request_to(app, work)).status == 200
        assert await stored() == [f"of book {number}" for number in range(1, 7)]
        assert app.state.db.checked_out == 0
