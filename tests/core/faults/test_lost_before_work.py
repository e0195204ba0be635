"""A request that has done nothing yet does not fail because its connection is dead.

The connection is ended at each moment before the first statement is on its way. What this side
cannot know of is survived by sending BEGIN, or the first reading statement, once more. A first
statement that writes is never repeated: on MariaDB, where nothing is sent before it, a connection
that dies between checkout and that statement fails the request, and stores nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hawkapi import Depends
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Reply, call
from hawkapi_sqlalchemy.core import get_session
from schema import Entry
from service import READERS, SESSIONS, WRITERS, Service

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

DOCUMENT = {"type", "title", "status", "detail"}


def assert_unavailable(reply: Reply) -> None:
    """The database is said to be out of reach, and nothing else is told."""
    document = reply.json()
    assert reply.status == document["status"] == 503, reply.body
    assert set(document) == DOCUMENT
    assert document["detail"] == "The database cannot be reached at the moment."
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "1"


async def assert_whole(service: Service) -> None:
    """Nothing is in use, and the next request of each kind is served."""
    assert service.database.checked_out == 0
    for kind in READERS:
        assert (await service.read(kind)()).status == 200
    assert service.database.checked_out == 0


@pytest.mark.parametrize("heard", [True, False], ids=["heard", "unheard"])
async def test_ended_while_idle(heard: bool, url: str, new_service, lose, tags) -> None:
    service: Service = new_service(url)
    requests = [service.read(kind) for kind in READERS]
    requests += [service.insert(kind, kind) for kind in WRITERS]
    for request in requests:
        await service.fill(1, "session", "replica")
        await (asyncio.to_thread(lose) if heard else _at_once(lose))
        assert (await request()).status in {200, 201}
    assert await tags(url) == sorted(WRITERS)
    await assert_whole(service)


async def _at_once(do: Callable[[], None]) -> None:
    do()


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("moment", ["checkout", "before_cursor_execute"])
async def test_ended_between_checkout_and_the_first_statement_a_reading_request_succeeds(
    moment: str, kind: str, url: str, new_service, lose, once
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine(kind), moment, lose, about="entries")
    await service.fill(1, kind)

    ending.armed = True
    reply = await service.read(kind)()

    assert ending.done == 1
    assert (reply.status, reply.json()["entries"]) == (200, 0)
    await assert_whole(service)


@pytest.mark.parametrize("kind", WRITERS)
async def test_ended_between_checkout_and_begin_a_writing_request_succeeds_where_begin_is_sent(
    kind: str, url: str, dialect: str, new_service, lose, once, tags
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine(kind), "checkout", lose)
    await service.fill(1, kind)

    ending.armed = True
    reply = await service.insert("first", kind)()

    assert ending.done == 1
    if dialect == "postgresql":
        assert reply.status == 201
    else:
        assert_unavailable(reply)
    assert (await service.insert("second", kind)()).status == 201
    assert await tags(url) == ["first"] * (reply.status == 201) + ["second"]
    await assert_whole(service)


@pytest.mark.parametrize("kind", WRITERS)
async def test_ended_right_before_the_first_statement_one_that_writes_is_not_repeated(
    kind: str, url: str, new_service, lose, once, tags
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine(kind), "before_cursor_execute", lose, about="INSERT")
    await service.fill(1, kind)

    ending.armed = True
    assert_unavailable(await service.insert("first", kind)())

    assert ending.done == 1
    assert (await service.insert("second", kind)()).status == 201
    assert await tags(url) == ["second"]
    await assert_whole(service)


@pytest.mark.parametrize("kind", READERS)
async def test_a_server_that_ends_each_new_connection_is_given_up_after_one_repetition(
    kind: str, url: str, new_service, lose, once
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine(kind), "before_cursor_execute", lose, about="entries", times=100)
    await service.fill(1, kind)

    ending.armed = True
    assert_unavailable(await service.read(kind)())
    ending.armed = False

    assert ending.done == 2
    await assert_whole(service)


type Way = Callable[[AsyncSession], Awaitable[Any]]

WAYS: dict[str, Way] = {
    "execute": lambda session: session.execute(select(Entry)),
    "scalar": lambda session: session.scalar(select(Entry)),
    "scalars": lambda session: session.scalars(select(Entry)),
    "get": lambda session: session.get(Entry, 1),
    "merge": lambda session: session.merge(Entry(id=1000, tag="merged")),
    "stream": lambda session: session.stream(select(Entry)),
    "stream_scalars": lambda session: session.stream_scalars(select(Entry)),
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_read_first_survives_a_dead_connection(
    way: str, url: str, new_service, lose, once, tags
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine("session"), "before_cursor_execute", lose, about="entries")

    @service.app.post("/read-and-write")
    async def read_and_write(session: AsyncSession = Depends(get_session)) -> dict:
        await WAYS[way](session)
        session.add(Entry(tag="written"))
        return {}

    await service.fill(1, "session")
    ending.armed = True
    reply = await call(service.app, "POST", "/read-and-write")

    assert (ending.done, reply.status) == (1, 201)
    assert await tags(url) == ["merged"] * (way == "merge") + ["written"]
    await assert_whole(service)


async def test_a_statement_in_text_that_may_write_is_not_repeated_in_a_writing_session(
    url: str, new_service, lose, once
) -> None:
    await assert_not_repeated(
        "INSERT INTO entries (tag) VALUES ('text')", "session", new_service(url), lose, once
    )


@pytest.mark.dialects("postgresql")
async def test_a_text_that_is_no_query_is_not_repeated_in_autocommit(
    url: str, new_service, lose, once
) -> None:
    """A NOTIFY that the server has carried out would reach its listeners twice."""
    await assert_not_repeated("NOTIFY news", "replica", new_service(url), lose, once)


async def assert_not_repeated(
    statement: str, kind: str, service: Service, lose: Callable[[], object], once
) -> None:
    ending = once(
        service.engine(kind),
        "before_cursor_execute",
        lose,
        about=statement.split(maxsplit=1)[0],
        times=100,
    )

    @service.app.post("/text")
    async def execute(session: AsyncSession = Depends(SESSIONS[kind])) -> dict:
        await session.execute(text(statement))
        return {}

    await service.fill(1, kind)
    ending.armed = True
    assert_unavailable(await call(service.app, "POST", "/text"))
    assert ending.done == 1
    await assert_whole(service)
