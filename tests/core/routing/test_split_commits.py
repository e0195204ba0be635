"""What a session stores that reads from a replica until it writes, and what it leaves."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from authors import COUNT, NAMES, Author, Book

pytestmark = pytest.mark.dialects("postgresql", "mariadb")


async def execute_one(session):
    await session.execute(insert(Author).values(name="ada"))


async def execute_many(session):
    await session.execute(insert(Author), [{"name": "ada"}, {"name": "ada"}])


async def add(session):
    session.add(Author(name="ada"))


async def flush(session):
    await add(session)
    await session.flush()


async def autoflush(session):
    await add(session)
    await session.scalar(COUNT)


async def test_what_it_writes_is_committed_before_the_response(shop, request_to, stored):
    async def work(write, session):
        await session.scalar(COUNT)
        await write(session)

    number = 0
    for write in (execute_one, execute_many, add, flush, autoflush):
        reply = await request_to(shop, partial(work, write))
        assert (write.__name__, reply.status) == (write.__name__, 200)
        number += 2 if write is execute_many else 1
        assert await stored() == ["ada"] * number


async def test_its_own_write_is_seen_by_what_it_reads_afterwards(shop, stocked, request_to):
    stocked.pause_replay()

    async def work(session):
        session.add(Author(name="ada"))
        await session.flush()
        assert (await session.scalars(NAMES)).all()[-1] == "ada"

    assert (await request_to(shop, work)).status == 200


@pytest.mark.parametrize("way", ["refresh", "populate_existing"])
async def test_what_a_write_depends_on_can_be_read_again_under_a_lock(
    shop, stocked, request_to, stored, way
):
    async def work(session):
        author = await session.get(Author, 1)
        stocked.primary.execute("UPDATE authors SET name = 'new' WHERE id = 1", stocked.database)
        if way == "refresh":
            await session.refresh(author, with_for_update=True)
        else:
            locked = select(Author).where(Author.id == 1).with_for_update()
            await session.execute(locked, execution_options={"populate_existing": True})
        author.name += " and newer"

    stocked.pause_replay()
    assert (await request_to(shop, work)).status == 200
    assert await stored() == ["new and newer"]


async def test_a_savepoint_that_is_undone_leaves_the_rest(shop, sent, request_to, stored):
    async def work(session):
        await session.scalar(COUNT)
        session.add(Author(name="ada"))
        try:
            async with session.begin_nested():
                session.add(Author(name="bob"))
                await session.flush()
                raise KeyError
        except KeyError:
            pass
        assert await session.scalar(COUNT) == 4

    assert (await request_to(shop, work)).status == 200
    assert await stored() == ["ada"]


async def test_it_goes_on_after_a_commit_of_its_own(shop, sent, request_to, stored, stocked):
    stocked.pause_replay()

    async def work(session):
        await session.scalar(COUNT)
        session.add(Author(name="ada"))
        await session.commit()
        sent.take()
        # The replica does not show it yet.
        assert await session.scalar(COUNT) == 4
        session.add(Author(name="bob"))
        await session.flush()
        assert set(sent.take()) == {"primary"}

    assert (await request_to(shop, work)).status == 200
    assert await stored() == ["ada", "bob"]


async def test_a_commit_that_wrote_nothing_leaves_it_on_its_replica(shop, sent, request_to):
    async def work(session):
        await session.scalar(COUNT)
        await session.commit()
        await session.scalar(COUNT)
        assert len(sent.servers) == 1
        assert set(sent.take()) == {"replica"}

    assert (await request_to(shop, work)).status == 200


async def test_a_rollback_undoes_what_was_written_and_it_goes_on(shop, request_to, stored):
    async def work(session):
        await session.scalar(COUNT)
        session.add_all([Author(id=77, name="ada"), Author(id=1, name="there already")])
        with pytest.raises(IntegrityError):
            await session.flush()
        await session.rollback()
        assert await session.scalar(COUNT) == 3
        session.add(Author(name="bob"))

    assert (await request_to(shop, work)).status == 200
    assert await stored() == ["bob"]


async def test_nothing_is_stored_when_the_request_fails(shop, request_to, stored):
    async def fail(session):
        await session.scalar(COUNT)
        await flush(session)
        raise RuntimeError

    async def refuse(session):
        await flush(session)

    assert (await request_to(shop, fail)).status == 500
    assert (await request_to(shop, refuse, status=409)).status == 409
    assert await stored() == []


async def test_a_violation_is_answered_instead_of_the_response(shop, request_to, stored):
    async def work(session):
        await session.scalar(COUNT)
        session.add_all([Author(id=77, name="ada"), Author(id=1, name="there already")])

    assert (await request_to(shop, work)).status == 409
    assert await stored() == []


@pytest.mark.dialects("postgresql")
async def test_a_commit_that_fails_replaces_the_response(shop, stocked, request_to, stored):
    stocked.primary.execute(
        "ALTER TABLE books DROP CONSTRAINT books_author_id_fkey", database=stocked.database
    )
    stocked.primary.execute(
        "ALTER TABLE books ADD FOREIGN KEY (author_id) REFERENCES authors "
        "DEFERRABLE INITIALLY DEFERRED",
        database=stocked.database,
    )

    async def work(session):
        await session.scalar(COUNT)
        session.add(Author(name="ada"))
        await session.execute(insert(Book).values(title="orphan", author_id=4711))

    assert (await request_to(shop, work)).status == 409
    assert await stored() == []
