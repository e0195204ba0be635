"""`QueryRecorder`: what is counted, and what a test that fails shows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from hawkapi import Depends, HawkAPI, testing
from sqlalchemy import event, insert, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from authors import Author, Base, Book, stock
from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseConfig,
    all_healthy,
    database_healthy,
    get_session,
    init_database,
    session_healthy,
)
from hawkapi_sqlalchemy.pytest import QueryRecorder, temporary_database
from hawkapi_sqlalchemy.pytest.queries.recorder import Recording
from marks import marked_line


@pytest.fixture
def queries(database: Database) -> QueryRecorder:
    return QueryRecorder(database)


def line_of(mark: str) -> int:
    """The number of the line of this file that ends with a mark."""
    return marked_line(Path(__file__), mark)


def failure_of(error: pytest.ExceptionInfo[AssertionError]) -> str:
    """The failure's text, its white space made equal."""
    return re.sub(r"\s+", " ", str(error.value))


async def test_a_query_is_recorded_with_its_text_its_database_and_its_line(
    database: Database, queries: QueryRecorder
) -> None:
    with queries.recording() as sent:
        async with database.session() as session:
            await session.execute(select(Book.title).where(Book.id == 4))  # a single query

    (query,) = sent
    assert query.sql.startswith("SELECT books.title")
    assert list(query.parameters) == [4]
    assert query.database == "primary"
    assert query.relationship is None
    assert query.source is not None
    assert (query.source.file, query.source.line) == (__file__, line_of("a single query"))
    assert (
        query.source.function == "test_a_query_is_recorded_with_its_text_its_database_and_its_line"
    )
    assert query.source.code.startswith("await session.execute(select(Book.title)")


async def test_what_begins_ends_and_configures_transactions_is_not_counted(
    database_url: str,
) -> None:
    """Limits that PostgreSQL is told in each transaction among them."""
    database = Database()
    config = DatabaseConfig(database_url, statement_timeout=20, lock_timeout=10)
    database.add("primary", config)
    database.add("reports", DatabaseConfig(database_url, autocommit_reads=False))
    queries = QueryRecorder(database)
    try:
        # The first connection too, where the dialect asks about its server.
        with queries.exactly(4):
            for options in ({}, {"commit": False}, {"commit": False, "snapshot": True}):
                async with database.session(**options) as session:
                    await session.execute(text("SELECT 4711"))
            async with database.session("reports", commit=False, snapshot=True) as session:
                await session.execute(text("SELECT 4711"))
                await session.rollback()
    finally:
        await database.dispose()


async def test_transaction_control_in_the_application_s_own_words_is_not_counted(
    memory: Database,
) -> None:
    with QueryRecorder(memory).none():
        async with memory.get().engine.connect() as connection:
            await connection.exec_driver_sql("COMMIT")
            await connection.exec_driver_sql("begin immediate")
            await connection.exec_driver_sql("ROLLBACK")


async def test_health_checks_are_not_counted(database: Database, queries: QueryRecorder) -> None:
    with queries.none():
        assert await all_healthy(database) == {"primary": True}
        assert await database_healthy(database)
        async with database.session(commit=False) as session:
            assert await session_healthy(session)


async def test_savepoints_are_counted_only_on_request(
    database: Database, queries: QueryRecorder
) -> None:
    async def nest() -> None:
        async with database.session() as session:
            async with session.begin_nested():
                session.add(Author(id=9, name="nobody"))
                await session.flush()
            inner = await session.begin_nested()
            # A savepoint that nothing used would never be sent.
            await session.connection()
            await inner.rollback()
            await session.rollback()

    with queries.exactly(1):
        await nest()
    with queries.exactly(5, savepoints=True) as sent:
        await nest()
    words = [query.sql.partition(" ")[0] for query in sent]
    assert words == ["SAVEPOINT", "INSERT", "RELEASE", "SAVEPOINT", "ROLLBACK"]


async def test_a_flush_at_the_end_of_a_block_is_the_line_of_the_block(
    database: Database, queries: QueryRecorder
) -> None:
    with queries.recording() as sent:
        async with database.session() as session:  # the block
            session.add(Author(id=9, name="nobody"))

    assert [query.sql.split()[0] for query in sent] == ["INSERT"]
    assert sent[0].source is not None
    assert sent[0].source.line == line_of("the block")


async def test_an_executemany_counts_once(database: Database, queries: QueryRecorder) -> None:
    rows = [{"id": number, "name": "nobody"} for number in range(10, 20)]
    with queries.exactly(1):
        async with database.session() as session:
            await session.execute(insert(Author.__table__), rows)


async def test_a_statement_that_fails_was_sent_all_the_same(
    database: Database, queries: QueryRecorder
) -> None:
    with queries.exactly(1):
        async with database.session(commit=False) as session:
            with pytest.raises(Exception, match="nowhere"):
                await session.execute(text("SELECT 1 FROM nowhere"))


async def test_connections_that_were_open_before_are_heard(
    database: Database, queries: QueryRecorder
) -> None:
    async with database.session() as session:
        await session.execute(select(Author))
        with queries.exactly(2):
            await session.execute(select(Author.id))
            await (await session.connection()).execute(text("SELECT 4711"))


async def test_databases_and_read_engines_that_are_made_meanwhile_are_heard(
    database: Database, queries: QueryRecorder, other_database_url: str
) -> None:
    with queries.recording() as sent:
        # Its pool is made here.
        async with database.session(commit=False, snapshot=False) as session:
            await session.execute(text("SELECT 1 + 1"))
        async with database.get().read_engine.connect() as connection:
            await connection.execute(text("SELECT 2 + 2"))
        database.add("other", DatabaseConfig(other_database_url))
        async with database.session("other") as session:
            await session.execute(text("SELECT 3 + 3"))

    assert [(query.database, query.sql) for query in sent] == [
        ("primary", "SELECT 1 + 1"),
        ("primary", "SELECT 2 + 2"),
        ("other", "SELECT 3 + 3"),
    ]


async def test_recording_makes_no_engine_that_was_not_needed(memory: Database) -> None:
    with QueryRecorder(memory).recording():
        async with memory.session() as session:
            await session.execute(select(Author))
    assert memory.get().async_engines == [memory.get().engine]


async def test_another_database_is_not_heard(memory: Database) -> None:
    async with temporary_database(Base.metadata) as other:
        with QueryRecorder(memory).none():
            await stock(other)


async def test_the_tables_that_the_portion_drops_are_not_counted() -> None:
    async with AsyncExitStack() as stack:
        memory = await stack.enter_async_context(temporary_database(Base.metadata))
        with QueryRecorder(memory).none():
            await stack.aclose()


async def test_the_tables_that_the_application_makes_are_counted(memory: Database) -> None:
    with QueryRecorder(memory).recording() as sent:
        async with memory.get().engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)  # all tables
    assert any(query.sql.strip().startswith("DROP TABLE books") for query in sent)
    assert {query.source and query.source.line for query in sent} == {line_of("all tables")}


async def test_blocks_inside_one_another_count_for_themselves(
    database: Database, queries: QueryRecorder
) -> None:
    async with database.session() as session:
        with queries.exactly(3) as outer:
            await session.execute(select(Author))
            with queries.exactly(1) as inner:
                await session.execute(select(Book))
            await session.execute(select(Author))
    assert inner == outer[1:2]


async def test_two_recorders_do_not_disturb_each_other(
    database: Database, queries: QueryRecorder
) -> None:
    async with database.session() as session:
        with queries.exactly(2), QueryRecorder(database).exactly(2):
            await session.execute(select(Author))
            await session.execute(select(Book))


async def test_a_block_can_be_entered_again(memory: Database) -> None:
    block = QueryRecorder(memory).exactly(1)
    for _ in range(2):
        with block:
            async with memory.session() as session:
                await session.execute(select(Author))


async def test_nothing_listens_after_the_last_block(
    database: Database, queries: QueryRecorder
) -> None:
    def listening() -> set[str]:
        dispatch = database.get().engine.dialect.dispatch
        events = (
            dispatch.do_execute,
            dispatch.do_executemany,
            dispatch.do_execute_no_params,
            Session().dispatch.do_orm_execute,
        )
        heard = {function for each in events for function in each}
        return {str(each) for each in heard if each.__module__.endswith("queries.listening")}

    before = listening()
    with queries.recording() as sent:
        with queries.recording():
            pass
        during = listening()
    assert len(during - before) == 3
    with pytest.raises(LookupError), queries.recording():
        raise LookupError
    assert listening() == before

    async with database.session() as session:
        await session.execute(select(Author))
    assert sent == []


def test_counts_that_make_no_sense_are_refused() -> None:
    queries = QueryRecorder(Database())
    with pytest.raises(ValueError, match="negative: -1"):
        queries.at_most(-1)
    with pytest.raises(ValueError, match="negative: -2"):
        queries.exactly(-2)
    with pytest.raises(ValueError, match="at least 2, not 1"):
        queries.no_n_plus_one(1)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (lambda queries: queries.at_most(1), "expected at most 1 query, 3 were sent:"),
        (lambda queries: queries.at_most(0), "expected at most 0 queries, 3 were sent:"),
        (lambda queries: queries.exactly(2), "expected exactly 2 queries, 3 were sent:"),
        (lambda queries: queries.exactly(4), "expected exactly 4 queries, 3 were sent:"),
        (lambda queries: queries.none(), "expected no query, 3 were sent:"),
    ],
)
async def test_a_failure_lists_the_statements_with_their_lines_and_how_often_they_were_sent(
    memory: Database, block: Callable[[QueryRecorder], Recording], expected: str
) -> None:
    with pytest.raises(AssertionError) as error, block(QueryRecorder(memory)):
        async with memory.session() as session:
            for number in (1, 2):
                await session.execute(select(Book.title).where(Book.id == number))  # twice
            await session.execute(text("SELECT 4711"))  # once

    assert failure_of(error).startswith(expected)
    lines = [line.strip() for line in str(error.value).splitlines()]
    name = "test_a_failure_lists_the_statements_with_their_lines_and_how_often_they_were_sent"
    twice, once = line_of("twice"), line_of("once")
    here = Path(__file__)
    shown = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    assert lines[1:] == [
        "2 times: SELECT books.title FROM books WHERE books.id = ?",
        f"{shown}:{twice} in {name}: {code_at(twice)}",
        "parameters: (1,), (2,)",
        "SELECT 4711",
        f"{shown}:{once} in {name}: {code_at(once)}",
    ]


def code_at(number: int) -> str:
    return Path(__file__).read_text().splitlines()[number - 1].strip()


async def test_a_failure_tells_that_nothing_was_sent(memory: Database) -> None:
    with (
        pytest.raises(AssertionError, match=r"^expected exactly 1 query, none was sent$"),
        QueryRecorder(memory).exactly(1),
    ):
        pass


async def test_a_failure_names_the_databases_where_there_are_several(memory: Database) -> None:
    memory.add("other", DatabaseConfig("sqlite+aiosqlite://"))
    with pytest.raises(AssertionError) as error, QueryRecorder(memory).none():
        for name in ("primary", "other"):
            async with memory.session(name) as session:
                await session.execute(text("SELECT 4711"))
    assert "[primary] SELECT 4711" in str(error.value)
    assert "[other] SELECT 4711" in str(error.value)


async def test_a_failure_stays_readable_with_long_statements_values_and_lists(
    memory: Database,
) -> None:
    with pytest.raises(AssertionError) as error, QueryRecorder(memory).none():
        async with memory.session() as session:
            await session.execute(
                text("SELECT " + " + ".join(["1"] * 500) + ", length(:word)"), {"word": "x" * 9000}
            )
            for number in range(50):
                await session.execute(text(f"SELECT {number}"))
    message = str(error.value)
    assert "expected no query, 51 were sent" in message
    assert "… and 31 other statements" in message
    assert max(map(len, message.splitlines())) < 400


async def test_an_engine_that_hides_parameters_hides_them_here_too() -> None:
    config = DatabaseConfig("sqlite+aiosqlite://", engine_kwargs={"hide_parameters": True})
    word = "s3cret"
    database = Database()
    database.add("primary", config)
    with pytest.raises(AssertionError) as error, QueryRecorder(database).none():
        async with database.session() as session:
            await session.execute(text("SELECT :word"), {"word": word})
    await database.dispose()
    assert "parameters: hidden by the engine" in str(error.value)
    assert word not in str(error.value)


async def test_an_exception_of_the_block_is_passed_on_whatever_the_count(memory: Database) -> None:
    queries = QueryRecorder(memory)
    for block in (queries.none(), queries.at_most(0), queries.exactly(7), queries.no_n_plus_one()):
        with pytest.raises(LookupError, match="the test's own"), block:
            async with memory.session() as session:
                for number in (1, 2, 3):
                    await session.get(Author, number)
                raise LookupError("the test's own")


async def test_a_query_of_a_library_s_task_has_no_line(memory: Database) -> None:
    queries = QueryRecorder(memory)
    with pytest.raises(AssertionError) as error, queries.none() as sent:
        async with memory.session() as session:
            await asyncio.ensure_future(session.execute(select(Author.id)))
    assert sent[0].source is None
    assert "from no line of the application" in str(error.value)


async def test_in_run_sync_the_line_is_inside_the_function(
    database: Database, queries: QueryRecorder
) -> None:
    def read(session: Session) -> None:
        session.execute(select(Author))  # inside run_sync

    with queries.recording() as sent:
        async with database.session() as session:
            await session.run_sync(read)
    assert sent[0].source is not None
    assert sent[0].source.line == line_of("inside run_sync")
    assert sent[0].source.function == "read"


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[HawkAPI]:
    async with temporary_database(Base.metadata, url=database_url) as temporary:
        await stock(temporary)
        app = HawkAPI()
        url = temporary.get().engine.url
        if url.get_backend_name() == "sqlite":
            # Its own URL is that of the file.
            url = url.set(query={})
        database = init_database(app, url=url)

        @app.get("/authors")
        async def authors(session: AsyncSession = Depends(get_session)) -> list[str]:
            return list(await session.scalars(select(Author.name)))  # the handler

        @app.post("/authors")
        async def create(session: AsyncSession = Depends(get_session)) -> dict:
            session.add(Author(id=9, name="nobody"))
            return {}

        yield app
        await database.dispose()


async def test_the_line_of_a_request_is_that_of_its_handler(app: HawkAPI) -> None:
    client = testing.TestClient(app)
    with QueryRecorder(app.state.db).exactly(1) as sent:
        reply = await client.async_get("/authors")
    assert len(reply.json()) == 3
    assert sent[0].source is not None
    assert (sent[0].source.function, sent[0].source.line) == ("authors", line_of("the handler"))


async def test_what_the_commit_of_a_request_flushes_is_counted(app: HawkAPI) -> None:
    client = testing.TestClient(app)
    with QueryRecorder(app.state.db).exactly(1) as sent:
        reply = await client.async_post("/authors")  # the request
    assert reply.status_code == 201
    assert sent[0].sql.startswith("INSERT INTO authors")
    assert sent[0].source is not None
    assert sent[0].source.line == line_of("the request")


async def test_a_request_is_counted_whoever_makes_it(app: HawkAPI) -> None:
    """What the library sends by itself is not; but it may carry a request out."""
    module: dict[str, Any] = {"__name__": "hawkapi_sqlalchemy.pytest.client"}
    exec("async def post(client):\n    return await client.async_post('/authors')\n", module)
    with QueryRecorder(app.state.db).exactly(1):
        assert (await module["post"](testing.TestClient(app))).status_code == 201


async def test_concurrent_requests_are_all_heard(app: HawkAPI) -> None:
    client = testing.TestClient(app)
    with QueryRecorder(app.state.db).exactly(5) as sent:
        await asyncio.gather(*(client.async_get("/authors") for _ in range(5)))
    assert {query.source and query.source.function for query in sent} == {"authors"}


def test_a_synchronous_test_counts_the_queries_of_its_client(tmp_path: Path) -> None:
    app = HawkAPI()
    database = init_database(app, url=f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")

    @app.get("/")
    async def index(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(text("SELECT 4711"))
        return {}

    client = testing.TestClient(app)
    with QueryRecorder(database).exactly(1) as sent:
        assert client.get("/").status_code == 200
    assert sent[0].source is not None
    assert sent[0].source.function == "index"
    assert client._loop is not None
    client._loop.run_until_complete(database.dispose())
    client._loop.close()


def test_pytest_shows_the_line_of_the_test_and_none_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio
        from sqlalchemy import text
        from hawkapi_sqlalchemy.core import Database, DatabaseConfig
        from hawkapi_sqlalchemy.pytest import QueryRecorder

        async def work(database):
            async with database.session() as session:
                await session.execute(text("SELECT 4711"))
            await database.dispose()

        def test_queries():
            database = Database()
            database.add("primary", DatabaseConfig("sqlite+aiosqlite://"))
            with QueryRecorder(database).none():
                asyncio.run(work(database))
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*with QueryRecorder(database).none():",
            "E*AssertionError: expected no query, 1 was sent:",
            "E*SELECT 4711",
            'E*test_pytest_shows_*.py:8 in work: await session.execute(text("SELECT 4711"))',
        ]
    )
    result.stdout.no_fnmatch_line("*recorder.py*")


def test_class_level_listeners_of_the_application_go_on_working() -> None:
    """Ours are removed one by one, not all at once."""
    heard: list[str] = []

    def hear(cursor: object, sql: str, *_: object) -> None:
        heard.append(sql)

    async def work() -> None:
        async with temporary_database(Base.metadata) as database:
            with QueryRecorder(database).recording():
                pass
            async with database.session() as session:
                await session.execute(text("SELECT :word"), {"word": "x"})

    event.listen(Engine, "do_execute", hear)
    try:
        asyncio.run(work())
    finally:
        event.remove(Engine, "do_execute", hear)
    assert "SELECT ?" in heard
