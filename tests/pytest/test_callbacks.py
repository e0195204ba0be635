"""`capture_on_commit`: the callbacks that became due, run or only captured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hawkapi import Depends, HawkAPI, testing
from sqlalchemy.ext.asyncio import AsyncSession

from authors import Author, Base
from hawkapi_sqlalchemy.core import Database, get_session, init_database, on_commit
from hawkapi_sqlalchemy.pytest import CapturedCallback, capture_on_commit, temporary_database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with temporary_database(Base.metadata, url=database_url) as database:
        yield database


@pytest.fixture
async def memory() -> AsyncIterator[Database]:
    """A database for what no dialect does otherwise."""
    async with temporary_database(Base.metadata) as database:
        yield database


async def later(into: list[object], value: object) -> str:
    await asyncio.sleep(0)
    into.append(value)
    return "done"


def shown(callbacks: list[CapturedCallback]) -> list[tuple[object, bool]]:
    return [(callback.arguments[-1], callback.has_run) for callback in callbacks]


async def test_callbacks_are_captured_in_order_and_have_run(database: Database) -> None:
    ran: list[object] = []
    with capture_on_commit() as callbacks:
        async with database.session() as session:
            session.add(Author(name="ada"))
            on_commit(session, later, ran, 1)
            on_commit(session, ran.append, 2)
            assert callbacks == []

    assert ran == [1, 2]
    assert [callback.function for callback in callbacks] == [later, ran.append]
    assert callbacks[0].arguments == (ran, 1)
    assert shown(callbacks) == [(1, True), (2, True)]
    assert callbacks[0].error is None


async def test_without_running_a_test_looks_at_them_and_runs_them_itself(
    database: Database,
) -> None:
    ran: list[object] = []
    with capture_on_commit(run=False) as callbacks:
        async with database.session() as session:
            session.add(Author(name="ada"))
            on_commit(session, later, ran, 1)
            on_commit(session, ran.append, 2)

    assert ran == []
    assert shown(callbacks) == [(1, False), (2, False)]
    assert callbacks[1]() is None
    assert await callbacks[0]() == "done"
    assert ran == [2, 1]
    assert shown(callbacks) == [(1, True), (2, True)]


async def test_what_was_rolled_back_never_appears(database: Database) -> None:
    ran: list[object] = []
    with capture_on_commit(run=False) as callbacks:
        with pytest.raises(LookupError):
            async with database.session() as session:
                session.add(Author(name="ada"))
                on_commit(session, ran.append, "of the transaction")
                raise LookupError
        async with database.session() as session:
            with pytest.raises(LookupError):
                async with session.begin_nested():
                    session.add(Author(name="bob"))
                    on_commit(session, ran.append, "of the savepoint")
                    raise LookupError
            async with session.begin_nested():
                on_commit(session, ran.append, "of a savepoint that held")
        async with database.session(commit=False) as session:
            on_commit(session, ran.append, "never committed")

    assert shown(callbacks) == [("of a savepoint that held", False)]


async def test_they_run_as_ever_after_the_block(memory: Database) -> None:
    ran: list[object] = []
    with pytest.raises(LookupError), capture_on_commit(run=False) as callbacks:
        raise LookupError
    async with memory.session() as session:
        session.add(Author(name="ada"))
        on_commit(session, ran.append, 1)
    assert ran == [1]
    assert callbacks == []


async def test_blocks_inside_one_another_see_them_all_and_one_is_enough_to_hold_them(
    memory: Database,
) -> None:
    ran: list[object] = []

    async def commit(value: int) -> None:
        async with memory.session() as session:
            session.add(Author(name="ada"))
            on_commit(session, ran.append, value)

    with capture_on_commit() as outer:
        with capture_on_commit(run=False) as inner:
            await commit(1)
        await commit(2)
    assert ran == [2]
    assert shown(inner) == [(1, False)]
    assert shown(outer) == [(1, False), (2, True)]


async def test_what_a_callback_raised_is_told(memory: Database, caplog) -> None:
    """The library only logs it, as the write is stored."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("no receipt")

    with caplog.at_level(logging.ERROR), capture_on_commit() as callbacks:
        async with memory.session() as session:
            session.add(Author(name="ada"))
            on_commit(session, fail)
    assert isinstance(callbacks[0].error, LookupError)
    assert callbacks[0].has_run
    assert "fail" in repr(callbacks[0])
    assert "has run" in repr(callbacks[0])
    assert "the COMMIT holds" in caplog.text


async def test_callbacks_of_callbacks_follow_them(memory: Database) -> None:
    ran: list[object] = []

    async def again() -> None:
        async with memory.session() as session:
            session.add(Author(name="bob"))
            on_commit(session, ran.append, "inner")

    with capture_on_commit() as callbacks:
        async with memory.session() as session:
            session.add(Author(name="ada"))
            on_commit(session, again)
            on_commit(session, ran.append, "outer")
    assert [callback.function for callback in callbacks] == [again, ran.append, ran.append]
    assert ran == ["inner", "outer"]


def make_app(tmp_path: Path, ran: list[object]) -> HawkAPI:
    app = HawkAPI()
    init_database(app, url=f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")

    @app.post("/authors")
    async def create(name: str, session: AsyncSession = Depends(get_session)) -> dict:
        session.add(Author(name=name))
        on_commit(session, later, ran, name)
        if name == "nobody":
            raise LookupError
        return {}

    return app


async def make_tables(database: Database) -> None:
    async with database.get().engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


async def test_those_of_requests_are_captured(tmp_path: Path) -> None:
    ran: list[object] = []
    app = make_app(tmp_path, ran)
    await make_tables(app.state.db)
    client = testing.TestClient(app)
    with capture_on_commit(run=False) as callbacks:
        assert (await client.async_post("/authors?name=ada")).status_code == 201
        assert (await client.async_post("/authors?name=nobody")).status_code == 500
    assert shown(callbacks) == [("ada", False)]
    assert await callbacks[0]() == "done"
    assert ran == ["ada"]
    await app.state.db.dispose()


def test_a_synchronous_test_captures_those_of_its_client(tmp_path: Path) -> None:
    ran: list[object] = []
    app = make_app(tmp_path, ran)
    client = testing.TestClient(app)
    loop = client._get_event_loop()
    loop.run_until_complete(make_tables(app.state.db))
    with capture_on_commit() as callbacks:
        assert client.post("/authors?name=ada").status_code == 201
    assert shown(callbacks) == [("ada", True)]
    assert ran == ["ada"]
    loop.run_until_complete(app.state.db.dispose())
    loop.close()
