"""One request reads from one replica; many are spread over them; own session classes do too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload

from asgi import call
from authors import COUNT, Author, Book
from hawkapi_sqlalchemy.core import (
    ConfigurationError,
    DatabaseConfig,
    get_replica_session,
    get_session,
    get_split_session,
    init_database,
    session_for,
)
from hawkapi_sqlalchemy.core.access import Access
from routed import application, configs

pytestmark = pytest.mark.dialects("postgresql", "mariadb")


async def read_in_many_ways(session: AsyncSession) -> None:
    assert await session.scalar(COUNT) == 3
    author = await session.get(Author, 1)
    assert author is not None
    assert len(await author.awaitable_attrs.books) == 2
    await session.scalars(select(Author).options(selectinload(Author.books)))
    await session.run_sync(lambda s: [book.author.name for book in s.query(Book)])
    await session.refresh(author)


async def test_all_statements_of_a_request_go_to_one_replica(shop, sent, request_to):
    for _ in range(8):
        reply = await request_to(shop, read_in_many_ways, get_replica_session)
        assert reply.status == 200
        assert len(sent.servers) == 1
        assert set(sent.take()) == {"replica"}


async def test_a_stream_of_a_snapshot_stays_with_it(shop, sent, request_to):
    async def work(session):
        assert await session.scalar(COUNT) == 3
        books = [book async for book in await session.stream_scalars(select(Book))]
        assert len(books) == 6
        await session.scalar(COUNT)

    snapshot = session_for("replica", commit=False, snapshot=True)
    for _ in range(8):
        assert (await request_to(shop, work, snapshot)).status == 200
        assert len(sent.servers) == 1
        assert set(sent.take()) == {"replica"}


@pytest.mark.parametrize(
    "other", [get_split_session, session_for("replica", commit=False, snapshot=True)]
)
async def test_two_sessions_of_a_request_read_from_one_replica(shop, sent, other):
    @shop.get("/both")
    async def both(
        one: AsyncSession = Depends(get_replica_session), two: AsyncSession = Depends(other)
    ) -> dict:
        for session in (one, two, one, two):
            assert await session.scalar(COUNT) == 3
        return {"one": one is two}

    before = sum(each.served for each in shop.state.db.replicas.values())
    for _ in range(12):
        assert (await call(shop, "GET", "/both")).json() == {"one": False}
        assert len(sent.servers) == 1
        sent.take()
    # Both are counted.
    assert sum(each.served for each in shop.state.db.replicas.values()) == before + 24


@pytest.mark.parametrize("lost", [get_split_session, get_replica_session])
async def test_where_one_has_to_move_the_others_follow_unless_in_a_snapshot(
    shop, sent, stocked, dialect, lost
):
    split, replica, snapshot = (
        get_split_session,
        get_replica_session,
        session_for("replica", commit=False, snapshot=True),
    )
    end = {"postgresql": "SELECT pg_terminate_backend({})", "mariadb": "KILL CONNECTION {}"}

    def end_connection(session: AsyncSession) -> None:
        (name,) = sent.servers
        driver = session.info["hawkapi_connection"].connection.driver_connection
        own = driver.get_server_pid() if dialect == "postgresql" else driver.thread_id()
        stocked.replicas[int(name[-1])].execute(end[dialect].format(own))

    @shop.get("/three")
    async def three(
        one: AsyncSession = Depends(split),
        two: AsyncSession = Depends(replica),
        three: AsyncSession = Depends(snapshot),
    ) -> dict:
        for session in (one, two, three):
            await session.scalar(COUNT)
        moved, follows = (one, two) if lost is split else (two, one)
        await asyncio.to_thread(end_connection, moved)
        assert set(sent.take()) == {"replica"}
        for session in (moved, follows, three, follows, moved):
            assert await session.scalar(COUNT) == 3
        # It was tried where it was lost first.
        return {"servers": sent.take()}

    expected = ["replica", "primary", "primary", "replica", "primary", "primary"]
    assert (await call(shop, "GET", "/three")).json() == {"servers": expected}


@pytest.mark.parametrize("concurrency", [1, 12])
async def test_requests_are_spread_by_weight(stocked, concurrency):
    requests = 600
    async with application(configs(stocked, weights=(3, 1))) as app:

        @app.get("/count")
        async def count(session: AsyncSession = Depends(get_replica_session)) -> dict:
            return {"count": await session.scalar(COUNT)}

        async def client() -> None:
            for _ in range(requests // concurrency):
                assert (await call(app, "GET", "/count")).json() == {"count": 3}

        await asyncio.gather(*(client() for _ in range(concurrency)))
        served = [each.served for each in app.state.db.replicas.values()]
    assert sum(served) == requests
    # Five standard deviations of a fair draw.
    assert abs(served[0] - 450) < 54


class OwnSync(Session):
    """A session class that an application brings along."""

    def remember(self) -> str:
        return "sync"


class OwnSession(AsyncSession):
    """Likewise, around the one below."""

    def remember(self) -> str:
        return f"{self.sync_session.remember()} and async"


async def test_classes_of_the_application_s_own_are_routed(stocked, sent, request_to):
    own: dict[str, Any] = {"class_": OwnSession, "sync_session_class": OwnSync, "info": {"own": 1}}
    async with application(configs(stocked, session_kwargs=own)) as app:
        sent.take()

        async def read(session):
            assert session.remember() == "sync and async"
            assert session.info["own"] == 1
            assert isinstance(session, OwnSession)
            await read_in_many_ways(session)
            assert len(sent.servers) == 1
            assert set(sent.take()) == {"replica"}

        async def write(session):
            await read(session)
            await session.execute(insert(Author).values(name="ada"))
            session.add(Author(name="bob"))
            assert await session.scalar(COUNT) == 5
            assert set(sent.take()) == {"primary"}

        async def only_write(session):
            assert session.remember() == "sync and async"
            session.add(Author(name="joan"))

        assert (await request_to(app, read, get_replica_session)).status == 200
        assert (await request_to(app, write, get_split_session)).status == 200
        assert (await request_to(app, only_write, get_session)).status == 200
        sent.take()
        async with app.state.db.session(commit=False) as session:
            assert await session.scalar(COUNT) == 6


class Choosing(Session):
    """One that chooses by itself what it works on."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Any:
        return super().get_bind(*args, **kwargs)


@pytest.mark.parametrize(
    "own",
    [
        {"sync_session_class": Choosing},
        {"binds": {Author: create_async_engine("sqlite+aiosqlite://")}},
    ],
    ids=["get_bind", "binds"],
)
async def test_sessions_with_a_choice_of_their_own_are_refused_where_it_would_not_be_heeded(
    own,
) -> None:
    url = "sqlite+aiosqlite:///{}.db"
    plain = DatabaseConfig(url.format("one"))
    choosing = DatabaseConfig(url.format("other"), session_kwargs=own)
    with pytest.raises(ConfigurationError, match=r"get_bind|binds"):
        init_database(HawkAPI(), databases={"primary": plain, "replica": choosing})
    # Sessions of the primary alone are its own affair.
    database = init_database(HawkAPI(), databases={"primary": choosing, "replica": plain})
    database.open("replica", access=Access.READ)
    database.open()
    with pytest.raises(ConfigurationError, match=r"get_bind|binds"):
        database.open_split()


async def test_options_of_the_application_s_sessions_hold_for_routed_ones(
    stocked, sent, request_to
):
    async with application(configs(stocked, session_kwargs={"autoflush": False})) as app:
        sent.take()

        async def work(session):
            session.add(Author(name="ada"))
            assert await session.scalar(COUNT) == 3
            assert set(sent.take()) == {"replica"}

        assert (await request_to(app, work)).status == 200
        assert set(sent.take()) == {"primary"}


async def test_who_comes_after_the_replica_was_lost_reads_from_the_primary(shop, sent, stocked):
    @shop.get("/both")
    async def both(
        one: AsyncSession = Depends(get_replica_session),
        two: AsyncSession = Depends(session_for("replica", commit=False, snapshot=True)),
    ) -> dict:
        assert await one.scalar(COUNT) == 3
        (name,) = sent.servers
        await asyncio.to_thread(stocked.replicas[int(name[-1])].kill)
        assert await two.scalar(COUNT) == 3
        assert await one.scalar(COUNT) == 3
        return {"last": [server for server, _ in sent.all][-1]}

    # The other replica may be behind what was read.
    assert (await call(shop, "GET", "/both")).json() == {"last": "primary"}
    assert len(sent.servers) == 2
