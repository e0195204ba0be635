"""A session that reads from a replica until it writes, and then stays on the primary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hawkapi import Depends
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from asgi import call
from authors import Author, Book
from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseConfig,
    TransactionRequiredError,
    get_replica_session,
    get_session,
    get_split_session,
)
from routed import application

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

ALL = select(Author.name).order_by(Author.id)
COUNT = select(func.count()).select_from(Author)
ADA = Author.name == "ada"

type Work = Callable[[AsyncSession], Awaitable[object]]


@pytest.fixture
def stored(stocked, sent):
    """Ask the primary which authors there are beyond those in stock."""

    async def names() -> list[str]:
        database = Database.from_configs({"primary": DatabaseConfig(stocked.primary_url)})
        async with database.session(commit=False) as session:
            found = list(await session.scalars(ALL.where(Author.name.not_like("author%"))))
        await database.dispose()
        sent.take()
        return found

    return names


async def test_it_reads_from_one_replica(shop, sent, request_to):
    async def work(session):
        for _ in range(5):
            assert await session.scalar(COUNT) == 3
            assert len((await session.scalars(ALL)).all()) == 3

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


@pytest.mark.parametrize("write", WRITES)
async def test_all_after_a_first_write_goes_to_the_primary(shop, sent, request_to, write):
    async def work(session):
        assert await session.scalar(COUNT) == 3
        assert sent.take() == ["replica"]
        await write(session)
        # What it had to read before may come from the replica still.
        before = [name.partition(":")[0] for name, _ in sent.all]
        assert before == sorted(before, reverse=True)
        assert before[-1] == "primary"
        sent.take()
        await session.scalar(COUNT)
        await session.scalars(ALL)
        assert sent.take() == ["primary"] * 2

    assert (await request_to(shop, work)).status == 200
    assert set(sent.take()) <= {"primary"}


@pytest.mark.parametrize("write", [insert_one, insert_many, flush, autoflush])
async def test_what_it_writes_is_committed_before_the_response(
    shop, sent, request_to, stored, write
):
    async def work(session):
        await session.scalar(COUNT)
        await write(session)

    assert (await request_to(shop, work)).status == 200
    assert "ada" in await stored()


async def test_what_is_only_added_is_stored_too(shop, request_to, stored):
    async def work(session):
        await session.scalar(COUNT)
        session.add(Author(name="ada"))

    assert (await request_to(shop, work)).status == 200
    assert await stored() == ["ada"]


async def test_its_own_write_is_seen_by_what_it_reads_afterwards(shop, stocked, request_to):
    stocked.pause_replay()

    async def work(session):
        session.add(Author(name="ada"))
        await session.flush()
        assert (await session.scalars(ALL)).all()[-1] == "ada"

    assert (await request_to(shop, work)).status == 200


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


async def test_lazy_loads_after_a_write_go_to_the_primary(shop, sent, request_to):
    async def work(session):
        author = await session.get(Author, 1)
        await insert_one(session)
        sent.take()
        await author.awaitable_attrs.books
        assert sent.take() == ["primary"]

    assert (await request_to(shop, work)).status == 200


async def test_a_merge_reads_from_the_replica_and_writes_to_the_primary(
    shop, sent, request_to, stocked
):
    async def work(session):
        await session.merge(Author(id=1, name="author one"))
        assert sent.take() == ["replica"]
        await session.flush()
        assert sent.take() == ["primary"]

    assert (await request_to(shop, work)).status == 200


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


@pytest.mark.parametrize(
    "order", [(get_session, get_split_session), (get_split_session, get_session)]
)
async def test_it_is_the_writing_session_of_the_request(shop, sent, stored, order):
    @shop.post("/both")
    async def both(
        one: AsyncSession = Depends(order[0]), other: AsyncSession = Depends(order[1])
    ) -> dict:
        one.add(Author(name="ada"))
        assert await other.scalar(COUNT) == 4
        return {"one": one is other}

    assert (await call(shop, "POST", "/both")).json() == {"one": True}
    assert set(sent.take()) == {"primary"}
    assert await stored() == ["ada"]


@pytest.mark.parametrize(
    "order", [(get_session, get_split_session), (get_split_session, get_session)]
)
async def test_who_asks_for_the_writing_session_too_reads_from_the_primary(shop, sent, order):
    @shop.post("/both")
    async def both(
        one: AsyncSession = Depends(order[0]), other: AsyncSession = Depends(order[1])
    ) -> dict:
        assert await one.scalar(COUNT) == await other.scalar(COUNT)
        return {}

    assert (await call(shop, "POST", "/both")).status == 201
    assert set(sent.take()) == {"primary"}


async def test_beside_a_replica_session_it_is_another_one(shop, stored):
    @shop.post("/both")
    async def both(
        writes: AsyncSession = Depends(get_split_session),
        reads: AsyncSession = Depends(get_replica_session),
    ) -> dict:
        await reads.scalar(COUNT)
        await writes.scalar(COUNT)
        writes.add(Author(name="ada"))
        return {"one": writes is reads}

    assert (await call(shop, "POST", "/both")).json() == {"one": False}
    assert await stored() == ["ada"]


async def test_the_replica_s_connection_goes_back_with_the_request(shop, request_to):
    database = shop.state.db

    async def work(session):
        await session.scalar(COUNT)
        assert database.checked_out == 1
        await insert_one(session)
        assert database.engines["primary"].checked_out == 1

    for _ in range(3):
        assert (await request_to(shop, work)).status == 200
        assert database.checked_out == 0


async def test_without_replicas_it_is_the_session_of_the_primary(stocked, sent, request_to, stored):
    async with application({"primary": DatabaseConfig(stocked.primary_url)}) as app:

        async def work(session):
            assert await session.scalar(COUNT) == 3
            session.add(Author(name="ada"))

        assert (await request_to(app, work)).status == 200
        assert set(sent.take()) == {"primary"}
    assert await stored() == ["ada"]
