"""Which server each statement of a session goes to that reads from a replica until it writes."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.orm import selectinload

from authors import COUNT, NAMES, Author, Book
from hawkapi_sqlalchemy.core import TransactionRequiredError, get_replica_session

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

ADA = Author.name == "ada"


async def test_it_reads_from_one_replica(shop, sent, request_to):
    async def work(session):
        for _ in range(5):
            assert await session.scalar(COUNT) == 3
            assert len((await session.scalars(NAMES)).all()) == 3

    assert (await request_to(shop, work)).status == 200
    assert len(sent.servers) == 1
    assert set(sent.take()) == {"replica"}


async def insert_one(session):
    await session.execute(insert(Author).values(name="ada"))


async def insert_many(session):
    await session.execute(insert(Author), [{"name": "ada"}, {"name": "bob"}])


async def insert_returning(session):
    await session.scalar(insert(Author).returning(Author.id), [{"name": "ada"}])


async def update_some(session):
    await session.execute(update(Author).values(name="x").where(ADA))


async def update_by_key(session):
    await session.execute(update(Author), [{"id": 1, "name": "author 1"}])


async def update_with_fetch(session):
    statement = update(Author).values(name="author 1").where(Author.id == 1)
    await session.execute(statement, execution_options={"synchronize_session": "fetch"})


async def delete_some(session):
    await session.execute(delete(Author).where(ADA))


async def lock(session):
    await session.execute(select(Author).with_for_update())


async def plain_text(session):
    await session.execute(text("SELECT 1"))


async def flush(session):
    session.add(Author(name="ada"))
    await session.flush()


async def autoflush(session):
    session.add(Author(name="ada"))
    assert await session.scalar(COUNT) == 4


async def savepoint(session):
    async with session.begin_nested():
        assert await session.scalar(COUNT) == 3


async def refresh_locked(session):
    author = (await session.scalars(select(Author).limit(1))).one()
    await session.refresh(author, with_for_update=True)


async def get_locked(session):
    await session.get(Author, 1, with_for_update=True)


async def merge(session):
    await session.merge(Author(id=1, name="author one"))
    await session.flush()


async def dirty(session):
    (await session.get(Author, 1)).name = "author one"
    await session.flush()


async def connection(session):
    assert await (await session.connection()).scalar(COUNT) == 3


async def from_text(session):
    await session.scalars(select(Author).from_statement(text("SELECT * FROM authors")))


async def delete_object(session):
    await session.execute(delete(Book).where(Book.author_id == 3))
    await session.delete(await session.get(Author, 3))
    await session.flush()


WRITES = [
    insert_one,
    insert_many,
    update_some,
    update_by_key,
    update_with_fetch,
    delete_some,
    lock,
    plain_text,
    flush,
    autoflush,
    savepoint,
    refresh_locked,
    get_locked,
    merge,
    dirty,
    connection,
    from_text,
    delete_object,
    insert_returning,
]


async def test_all_after_a_first_write_goes_to_the_primary(shop, sent, request_to):
    async def work(write, session):
        assert await session.scalar(COUNT) == 3
        assert sent.take() == ["replica"]
        await write(session)
        # What it had to read before may come from the replica still.
        before = [name.partition(":")[0] for name, _ in sent.all]
        assert before == sorted(before, reverse=True)
        assert before[-1] == "primary"
        sent.take()
        await session.scalar(COUNT)
        await session.scalars(NAMES)
        assert sent.take() == ["primary"] * 2

    for write in WRITES:
        # Such a response rolls back: the next one finds what this one has found.
        reply = await request_to(shop, partial(work, write), status=400)
        assert (write.__name__, reply.status) == (write.__name__, 400)
        assert set(sent.take()) <= {"primary"}


async def test_objects_are_loaded_from_the_replica_and_lazily_too(shop, sent, request_to):
    async def work(session):
        author = await session.get(Author, 1)
        assert [book.title for book in await author.awaitable_attrs.books] == ["book 1", "book 2"]
        found = (await session.scalars(select(Author).options(selectinload(Author.books)))).all()
        assert len(found) == 3
        titles = await session.run_sync(lambda s: [book.author.name for book in s.query(Book)])
        assert len(titles) == 6
        await session.refresh(author)

    assert (await request_to(shop, work)).status == 200
    assert len(sent.servers) == 1
    assert set(sent.take()) == {"replica"}


async def test_a_stream_goes_where_it_can_be_had(shop, sent, request_to, dialect):
    async def work(session):
        assert await session.scalar(COUNT) == 3
        sent.take()
        books = [book async for book in await session.stream_scalars(select(Book))]
        assert len(books) == 6
        # PostgreSQL's cursors need a transaction, which there is on the primary.
        assert sent.take()[-1] == ("primary" if dialect == "postgresql" else "replica")

    assert (await request_to(shop, work)).status == 200


@pytest.mark.dialects("postgresql")
async def test_an_error_names_the_replicas_as_sessions_ask_for_them(shop, request_to):
    async def work(session):
        with pytest.raises(TransactionRequiredError, match=r"session_for\('replica', commit"):
            await session.stream(select(Book))

    assert (await request_to(shop, work, get_replica_session)).status == 200


async def test_what_was_taken_for_a_read_and_is_refused_runs_on_the_primary(
    shop, stocked, sent, request_to, dialect
):
    stocked.primary.execute("CREATE SEQUENCE numbers", stocked.database)
    if dialect == "postgresql":
        stocked.primary.execute("GRANT USAGE ON SEQUENCE numbers TO PUBLIC", stocked.database)
    stocked.wait_for_catch_up()
    number = "nextval('numbers')" if dialect == "postgresql" else "nextval(numbers)"
    # Operators are text too, which nobody reads.
    disguised = select(Author.id.op(f"* 0 + {number} +")(0)).where(Author.id == 1)

    async def work(session):
        assert await session.scalar(COUNT) == 3
        assert await session.scalar(disguised) == 1
        assert await session.scalar(COUNT) == 3
        assert sent.take()[-2:] == ["primary"] * 2

    assert (await request_to(shop, work)).status == 200


async def test_lazy_loads_after_a_write_go_to_the_primary(shop, sent, request_to):
    async def work(session):
        author = await session.get(Author, 1)
        await insert_one(session)
        sent.take()
        await author.awaitable_attrs.books
        assert sent.take() == ["primary"]

    assert (await request_to(shop, work)).status == 200


async def test_a_merge_reads_from_the_replica_and_writes_to_the_primary(shop, sent, request_to):
    async def work(session):
        await session.merge(Author(id=1, name="author one"))
        assert sent.take() == ["replica"]
        await session.flush()
        assert sent.take() == ["primary"]

    assert (await request_to(shop, work)).status == 200


async def test_asking_for_its_bind_moves_it_nowhere(shop, sent, request_to):
    async def work(session):
        name = session.get_bind().dialect.name
        assert name in {"postgresql", "mysql", "mariadb"}
        await session.scalar(COUNT)
        session.get_bind()
        await session.scalar(COUNT)
        assert set(sent.take()) == {"replica"}

    assert (await request_to(shop, work)).status == 200


async def test_one_with_nothing_to_do_sends_nothing(shop, sent, request_to):
    async def work(session):
        del session

    assert (await request_to(shop, work)).status == 200
    assert sent.take() == []
