"""A statement that is run again on another connection takes nothing away from its session."""

from __future__ import annotations

import pytest
from hawkapi import Depends
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Reply, call
from hawkapi_sqlalchemy.core import get_session, on_commit
from schema import Entry
from service import SESSIONS, WRITERS, Service

pytestmark = pytest.mark.dialects("postgresql", "mariadb")


def is_unavailable(reply: Reply) -> bool:
    return reply.status == reply.json()["status"] == 503


async def assert_whole(service: Service) -> None:
    assert service.database.checked_out == 0
    assert (await service.read("session")()).status == 200


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("moment", ["checkout", "before_cursor_execute"])
async def test_what_the_session_was_to_store_is_never_dropped_by_a_repetition(
    moment: str, kind: str, url: str, new_service, lose, once, tags
) -> None:
    """The first statement reads, but flushes first what was added before."""
    service: Service = new_service(url)
    ending = once(service.engine(kind), moment, lose, about="entries")

    @service.app.post("/add-and-read")
    async def add_and_read(session: AsyncSession = Depends(SESSIONS[kind])) -> dict:
        session.add(Entry(tag="added"))
        await session.execute(select(Entry))
        if kind == "manual":
            await session.commit()
        return {}

    await service.fill(1, kind)
    ending.armed = True
    reply = await call(service.app, "POST", "/add-and-read")

    assert ending.done == 1
    assert reply.status == 201 or is_unavailable(reply)
    assert await tags(url) == ["added"] * (reply.status == 201)
    await assert_whole(service)


async def test_what_was_changed_after_a_commit_is_never_dropped_by_a_repetition(
    url: str, new_service, lose, once, tags
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine("session"), "before_cursor_execute", lose, about="SELECT entries")

    @service.app.post("/change-and-read")
    async def change_and_read(session: AsyncSession = Depends(get_session)) -> dict:
        entry = Entry(tag="before")
        session.add(entry)
        await session.commit()
        entry.tag = "after"
        ending.armed = True
        with session.no_autoflush:
            await session.execute(select(Entry))
        return {"tag": entry.tag}

    reply = await call(service.app, "POST", "/change-and-read")

    assert ending.done == 1
    assert reply.status == 201 or is_unavailable(reply)
    assert await tags(url) == ["after" if reply.status == 201 else "before"]
    await assert_whole(service)


async def test_what_was_loaded_before_a_commit_can_be_read_after_a_repetition(
    url: str, new_service, lose, once
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine("session"), "before_cursor_execute", lose, about="SELECT entries")

    @service.app.post("/commit-and-read")
    async def commit_and_read(session: AsyncSession = Depends(get_session)) -> dict:
        entry = Entry(tag="kept")
        session.add(entry)
        await session.commit()
        ending.armed = True
        await session.execute(select(Entry.id))
        return {"tag": entry.tag}

    reply = await call(service.app, "POST", "/commit-and-read")

    assert ending.done == 1
    assert is_unavailable(reply) or reply.json() == {"tag": "kept"}
    await assert_whole(service)


async def test_a_callback_is_not_lost_that_waits_for_the_commit_of_what_is_stored(
    url: str, new_service, lose, once, tags
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine("session"), "before_cursor_execute", lose, about="SELECT entries")
    ran: list[str] = []

    @service.app.post("/announce")
    async def announce(session: AsyncSession = Depends(get_session)) -> dict:
        on_commit(session, ran.append, "announced")
        await session.execute(select(Entry))
        session.add(Entry(tag="announced"))
        return {}

    await service.fill(1, "session")
    ending.armed = True
    replies = [await call(service.app, "POST", "/announce") for _ in range(2)]

    assert ending.done == 1
    assert all(reply.status == 201 or is_unavailable(reply) for reply in replies)
    assert replies[1].status == 201
    assert ran == await tags(url) == ["announced"] * [each.status for each in replies].count(201)
    await assert_whole(service)
