"""`no_n_plus_one`: what is loaded piece by piece is found, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hawkapi import Depends, HawkAPI, testing
from sqlalchemy import ForeignKey, String, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    defer,
    immediateload,
    joinedload,
    lazyload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
    undefer,
)

from authors import Author, Base, Book, stock
from hawkapi_sqlalchemy.core import (
    Database,
    get_replica_session,
    get_session,
    init_database,
)
from hawkapi_sqlalchemy.pytest import QueryRecorder, temporary_database
from marks import marked_line

HERE = Path(__file__)


def place(mark: str) -> str:
    """The line of this file that ends with a mark, as a failure shows it."""
    return f"{HERE.name}:{marked_line(HERE, mark)} in "


async def failure(database: Database, work: Callable[[AsyncSession], Awaitable[object]]) -> str:
    """Do some work in a session, and answer what `no_n_plus_one` says of it."""
    with pytest.raises(AssertionError) as error, QueryRecorder(database).no_n_plus_one():
        async with database.session() as session:
            await work(session)
    return str(error.value)


async def test_a_lazy_load_for_several_parents_names_relationship_count_line_and_remedy(
    database: Database,
) -> None:
    async def work(session: AsyncSession) -> None:
        for author in await session.scalars(select(Author)):
            assert len(await author.awaitable_attrs.books) == 2  # books of each

    message = await failure(database, work)
    assert "Author.books was loaded parent by parent: 3 queries for 3 parents" in message
    assert place("books of each") + "work: assert len(await author" in message
    assert ".options(selectinload(Author.books))" in message
    assert "from one line" not in message


async def test_a_lazy_load_in_run_sync_is_found(database: Database) -> None:
    def read(session: Session) -> None:
        for author in session.scalars(select(Author)):
            assert len(author.books) == 2  # books in run_sync

    message = await failure(database, lambda session: session.run_sync(read))
    assert "Author.books was loaded parent by parent: 3 queries for 3 parents" in message
    assert place("books in run_sync") + "read" in message


async def test_the_other_end_of_a_relationship_is_named_as_such(database: Database) -> None:
    async def work(session: AsyncSession) -> None:
        for book in await session.scalars(select(Book)):
            await book.awaitable_attrs.author

    message = await failure(database, work)
    # Two books have one author, which the session knows by then.
    assert "Book.author was loaded parent by parent: 3 queries for 3 parents" in message
    assert "selectinload(Book.author)" in message


@pytest.mark.parametrize("option", [lazyload, immediateload])
async def test_an_option_that_asks_for_it_does_not_hide_it(memory: Database, option) -> None:
    async def work(session: AsyncSession) -> None:
        for author in await session.scalars(select(Author).options(option(Author.books))):
            await author.awaitable_attrs.books

    assert "Author.books was loaded parent by parent" in await failure(memory, work)


async def test_it_is_found_where_the_relationship_lies_deeper(memory: Database) -> None:
    async def work(session: AsyncSession) -> None:
        found = await session.scalars(select(Book).options(selectinload(Book.author)))
        for book in found:
            await book.author.awaitable_attrs.books

    message = await failure(memory, work)
    assert "Author.books was loaded parent by parent: 3 queries for 3 parents" in message
    assert "Book.author" not in message


async def test_an_eager_load_behind_each_lazy_load_is_not_named(memory: Database) -> None:
    async def work(session: AsyncSession) -> None:
        option = lazyload(Author.books).selectinload(Book.author)
        for author in await session.scalars(select(Author).options(option)):
            await author.awaitable_attrs.books

    message = await failure(memory, work)
    assert "Author.books was loaded parent by parent" in message
    assert "Book.author" not in message
    assert "from one line" not in message


@pytest.mark.parametrize("option", [selectinload, joinedload, subqueryload])
@pytest.mark.parametrize("relation", [Author.books, Book.author], ids=str)
async def test_what_is_loaded_for_all_parents_at_once_is_not_found(
    database: Database, option, relation
) -> None:
    with QueryRecorder(database).no_n_plus_one() as sent:
        async with database.session(commit=False) as session:
            statement = select(relation.class_).options(option(relation))
            for each in (await session.scalars(statement)).unique():
                getattr(each, relation.key)
    assert sent
    assert {query.relationship for query in sent} == {None}


async def test_an_eager_load_in_several_portions_is_not_found(memory: Database) -> None:
    """`selectinload` asks for 500 parents at a time."""
    async with memory.session() as session:
        rows = [{"id": number, "name": "many"} for number in range(100, 1700)]
        await session.execute(insert(Author), rows)
    with QueryRecorder(memory).no_n_plus_one() as sent:
        async with memory.session() as session:
            statement = select(Author).options(selectinload(Author.books))
            assert len((await session.scalars(statement)).all()) == 1603
    assert len({query.sql for query in sent}) < len(sent)


async def test_an_eager_load_of_a_tree_level_by_level_is_not_found() -> None:
    class OwnBase(DeclarativeBase):
        pass

    class Node(OwnBase):
        __tablename__ = "nodes"
        id: Mapped[int] = mapped_column(primary_key=True)
        parent_id: Mapped[int | None] = mapped_column(ForeignKey("nodes.id"))
        children: Mapped[list[Node]] = relationship(lazy="selectin", join_depth=3)

    async with temporary_database(OwnBase.metadata) as database:
        async with database.session() as session:
            await session.execute(insert(Node), [{"id": 1, "parent_id": None}])
            rows = [{"id": number, "parent_id": number // 2} for number in range(2, 16)]
            await session.execute(insert(Node), rows)
        with QueryRecorder(database).no_n_plus_one() as sent:
            async with database.session() as session:
                await session.scalar(select(Node).where(Node.id == 1))
    assert len(sent) > 2


async def test_one_parent_is_no_n_plus_one_however_often_it_is_loaded(memory: Database) -> None:
    with QueryRecorder(memory).no_n_plus_one() as sent:
        async with memory.session() as session:
            author = await session.get_one(Author, 1)
            for _ in range(3):
                await author.awaitable_attrs.books
                session.expire(author, ["books"])
    assert [query.relationship for query in sent] == [None, *["Author.books"] * 3]


async def test_the_threshold_is_the_number_of_parents_that_fails(memory: Database) -> None:
    async def load() -> None:
        async with memory.session() as session:
            for author in await session.scalars(select(Author)):
                await author.awaitable_attrs.books

    queries = QueryRecorder(memory)
    with queries.no_n_plus_one(threshold=4):
        await load()
    with pytest.raises(AssertionError), queries.no_n_plus_one(threshold=3):
        await load()


async def test_a_statement_in_a_loop_names_line_count_and_parameters(database: Database) -> None:
    async def work(session: AsyncSession) -> None:
        for number in (1, 2, 3, 4):
            await session.execute(select(Book.title).where(Book.author_id == number))  # a loop

    message = await failure(database, work)
    assert "the same statement was sent 4 times from one line" in message
    assert place("a loop") + "work: await session.execute(" in message
    assert "SELECT books.title FROM books WHERE books.author_id = " in message
    for number in (1, 2, 3):
        assert str(number) in message.partition("parameters:")[2]
    assert ".in_()" in message


async def test_a_loop_is_found_in_every_kind_of_work(memory: Database) -> None:
    async def get(session: AsyncSession) -> None:
        for number in (1, 2):
            await session.get(Author, number)

    async def core(session: AsyncSession) -> None:
        connection = await session.connection()
        for number in (1, 2):
            await connection.execute(text("SELECT :number"), {"number": number})

    async def flush(session: AsyncSession) -> None:
        for number in (8, 9):
            session.add(Author(id=number, name="nobody"))
            await session.flush()

    async def refresh(session: AsyncSession) -> None:
        for author in (await session.scalars(select(Author))).all():
            await session.refresh(author)

    async def deferred(session: AsyncSession) -> None:
        for author in (await session.scalars(select(Author).options(defer(Author.name)))).all():
            await author.awaitable_attrs.name

    async def deferred_sync(session: AsyncSession) -> None:
        def read(sync: Session) -> None:
            for author in sync.scalars(select(Author).options(defer(Author.name))).all():
                assert author.name

        await session.run_sync(read)

    async def same_parameters(session: AsyncSession) -> None:
        """Data for a test are often too alike to differ."""
        for _ in range(2):
            await session.execute(select(Author.id).where(Author.id == 1))

    async def recursive(session: AsyncSession) -> None:
        async def walk(number: int) -> None:
            await session.execute(select(Author.id).where(Author.id == number))
            if number < 3:
                await walk(number + 1)

        await walk(1)

    async def helper(session: AsyncSession) -> None:
        async def one(number: int) -> None:
            await session.execute(select(Author.id).where(Author.id == number))

        for number in (1, 2):
            await one(number)

    kinds = (get, core, flush, refresh, deferred, deferred_sync, same_parameters, recursive, helper)
    for work in kinds:
        message = await failure(memory, work)
        assert " times from one line" in message, work
        assert f"{HERE.name}:" in message, work


async def test_a_helper_that_is_called_from_two_places_is_no_loop(memory: Database) -> None:
    async def one(session: AsyncSession, number: int) -> Author:
        return await session.get_one(Author, number)

    with QueryRecorder(memory).exactly(2), QueryRecorder(memory).no_n_plus_one():
        async with memory.session() as session:
            await one(session, 1)
            await one(session, 2)


async def test_the_same_line_in_two_sessions_is_no_loop(memory: Database) -> None:
    """Each may be a request of its own."""

    async def unit(number: int) -> None:
        async with memory.session() as session:
            author = await session.get_one(Author, number)
            await author.awaitable_attrs.books

    with QueryRecorder(memory).exactly(6), QueryRecorder(memory).no_n_plus_one():
        for number in (1, 2, 3):
            await unit(number)


async def test_one_call_that_sends_several_statements_is_no_loop(database: Database) -> None:
    """A flush, and an INSERT whose rows are too many for one statement."""
    with QueryRecorder(database).no_n_plus_one():
        async with database.session() as session:
            authors = (await session.scalars(select(Author))).all()
            for author in authors:
                author.name = f"other {author.id}"
            session.add_all(Author(name=f"author {number}") for number in range(1200))
            await session.flush()
            await session.execute(
                insert(Author).returning(Author.id),
                [{"name": f"author {number}"} for number in range(1200)],
            )


class VersionedBase(DeclarativeBase):
    pass


class Item(VersionedBase):
    """Each row is inserted and updated by a statement of its own."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    changed: Mapped[str] = mapped_column(String(20), default="", onupdate=text("'yes'"))
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version, "eager_defaults": True}  # noqa: RUF012  # SQLAlchemy's own shape


@pytest.fixture
async def items() -> AsyncIterator[Database]:
    async with temporary_database(VersionedBase.metadata) as database:
        async with database.session() as session:
            session.add_all(Item(name=name) for name in "abc")
        yield database


async def test_a_flush_of_one_statement_for_each_row_is_no_loop(items: Database) -> None:
    with QueryRecorder(items).no_n_plus_one() as sent:
        async with items.session() as session:
            for item in await session.scalars(select(Item)):
                item.name = "other"
            await session.flush()
    assert len(sent) == 4


async def test_a_call_of_many_statements_inside_run_sync_is_no_loop(items: Database) -> None:
    def write(session: Session) -> None:
        for item in session.scalars(select(Item)):
            item.name = "other"
        session.flush()
        rows = [{"name": "many", "version": 1} for _ in range(2000)]
        session.execute(insert(Item).returning(Item.id), rows)

    with QueryRecorder(items).no_n_plus_one() as sent:
        async with items.session() as session:
            await session.run_sync(write)
    assert len({query.sql for query in sent}) < len(sent) - 2


async def test_savepoints_in_a_loop_are_not_found(memory: Database) -> None:
    with QueryRecorder(memory).no_n_plus_one():
        async with memory.session() as session:
            for statement in (select(Author.id), select(Book.id)):
                async with session.begin_nested():
                    await session.execute(statement)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[HawkAPI]:
    app = HawkAPI()
    database = init_database(app, url=f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")
    async with database.get().engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await stock(database)

    async def collect(session: AsyncSession) -> dict[str, int]:
        found = await session.scalars(select(Author))
        return {each.name: len(await each.awaitable_attrs.books) for each in found}  # in a request

    @app.get("/slow")
    async def slow(session: AsyncSession = Depends(get_session)) -> dict:
        return await collect(session)

    @app.get("/slow-reader")
    async def slow_reader(session: AsyncSession = Depends(get_replica_session)) -> dict:
        return await collect(session)

    @app.get("/one/{number}")
    async def one(number: int, session: AsyncSession = Depends(get_session)) -> dict:
        author = await session.get_one(Author, number, options=[undefer(Author.name)])
        return {"books": len(await author.awaitable_attrs.books)}

    yield app
    await database.dispose()


@pytest.mark.filterwarnings("ignore:no database is registered")
@pytest.mark.parametrize("path", ["/slow", "/slow-reader"])
async def test_a_request_s_lazy_loads_are_found_at_the_line_of_the_application(
    app: HawkAPI, path: str
) -> None:
    client = testing.TestClient(app)
    queries = QueryRecorder(app.state.db)
    with pytest.raises(AssertionError) as error, queries.no_n_plus_one():
        assert (await client.async_get(path)).status_code == 200
    assert "Author.books was loaded parent by parent: 3 queries for 3 parents" in str(error.value)
    assert place("in a request") + "collect: " in str(error.value)


async def test_a_test_s_several_requests_are_no_n_plus_one(app: HawkAPI) -> None:
    client = testing.TestClient(app)
    with QueryRecorder(app.state.db).no_n_plus_one() as sent:
        for number in (1, 2, 3):
            reply = await client.async_get(f"/one/{number}")
            assert reply.json() == {"books": 2}
        await asyncio.gather(*(client.async_get(f"/one/{number}") for number in (1, 2, 3)))
    assert len(sent) == 12
