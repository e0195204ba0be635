"""A connection that dies while a request works: what is told is true, and the pool is whole.

| moment | outcome |
|---|---|
| under the first statement, if it only reads | the request succeeds, on another connection |
| between two statements | 503, nothing is stored |
| after the flush, before COMMIT | 503 of unknown outcome, nothing is stored |
| during COMMIT | 503 of unknown outcome |
| after COMMIT | the request succeeds, its row is stored |
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hawkapi import Depends
from sqlalchemy import delete, event, func, insert, make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from asgi import DEADLINE, Reply, call
from dbservers.server import DatabaseServer
from schema import Entry
from service import READERS, SESSIONS, WRITERS, Service

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

KINDS = pytest.mark.parametrize("kind", READERS)
WRITING = pytest.mark.parametrize("kind", WRITERS)

SLEEP = {"postgresql": func.pg_sleep(60), "mariadb": func.sleep(60)}
ASLEEP = {
    "postgresql": "SELECT pid FROM pg_stat_activity "
    "WHERE datname = '{name}' AND wait_event = 'PgSleep' AND query ILIKE '{statement}%'",
    "mariadb": "SELECT id FROM information_schema.processlist "
    "WHERE db = '{name}' AND state IN ('User sleep', 'Waiting for backup lock') "
    "AND info LIKE '{statement}%'",
}
END = {
    "postgresql": "SELECT pg_terminate_backend({backend})",
    "mariadb": "KILL HARD CONNECTION {backend}",
}

_SLEEPING = (
    "CREATE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$"
)
_IN_COMMIT = (
    "CREATE CONSTRAINT TRIGGER sleeps AFTER INSERT ON entries DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW WHEN (NEW.tag = 'slow') EXECUTE FUNCTION sleeps()"
)


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as opened:
        yield opened
    await engine.dispose()


async def backend_in(
    statement: str, url: str, server: DatabaseServer, task: asyncio.Task[Reply]
) -> int:
    """Wait until a backend is held up inside a statement, and name it."""
    parts = make_url(url)
    dialect = "mariadb" if parts.get_backend_name() == "mysql" else "postgresql"
    sql = ASLEEP[dialect].format(name=parts.database, statement=statement)
    async with asyncio.timeout(DEADLINE):
        while not (rows := await asyncio.to_thread(server.execute, sql)):
            assert not task.done(), task.result().body
            await asyncio.sleep(0.01)
    return rows[0][0]


def assert_unavailable(reply: Reply, *, unknown: bool = False) -> None:
    """The answer is a problem document that says whether the outcome is known."""
    document = reply.json()
    assert reply.status == document["status"] == 503, reply.body
    assert set(document) == {"type", "title", "status", "detail"}
    assert ("look whether it is there" in document["detail"]) is unknown
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["retry-after"] == "1"


async def assert_whole(service: Service) -> None:
    """Nothing is in use, and the next request of each kind is served."""
    assert service.database.checked_out == 0
    for kind in READERS:
        assert (await service.read(kind)()).status == 200
    assert service.database.checked_out == 0


@KINDS
async def test_while_the_first_statement_reads_the_request_succeeds_on_another_connection(
    kind: str, url: str, dialect: str, database_server: DatabaseServer, new_service
) -> None:
    service: Service = new_service(url)

    @service.app.get("/slow")
    async def slow(session: AsyncSession = Depends(SESSIONS[kind])) -> dict:
        rows = await session.execute(select(SLEEP[dialect]).select_from(Entry))
        return {"rows": len(rows.all())}

    async with connection(url) as rival:
        # What is read sleeps for each row, and so not when it is read again.
        await rival.execute(insert(Entry).values(tag="slow"))
        request = asyncio.create_task(call(service.app, "GET", "/slow"))
        backend = await backend_in("SELECT", url, database_server, request)
        await rival.execute(delete(Entry))
    database_server.execute(END[dialect].format(backend=backend))
    async with asyncio.timeout(DEADLINE):
        reply = await request

    assert (reply.status, reply.json()) == (200, {"rows": 0})
    await assert_whole(service)


@KINDS
@pytest.mark.parametrize("heard", [True, False], ids=["heard", "unheard"])
async def test_between_two_statements_the_request_fails(
    heard: bool, kind: str, url: str, new_service, lose
) -> None:
    service: Service = new_service(url)
    cut = True

    @service.app.get("/twice")
    async def twice(session: AsyncSession = Depends(SESSIONS[kind])) -> dict:
        await session.execute(select(Entry))
        if cut and heard:
            await asyncio.to_thread(lose)
        elif cut:
            lose()
        await session.execute(select(Entry))
        return {}

    assert_unavailable(await call(service.app, "GET", "/twice"))
    await assert_whole(service)
    cut = False
    assert (await call(service.app, "GET", "/twice")).status == 200


@WRITING
async def test_between_two_writes_nothing_of_both_is_stored(
    kind: str, url: str, new_service, lose, tags
) -> None:
    service: Service = new_service(url)

    @service.app.post("/two")
    async def two(session: AsyncSession = Depends(SESSIONS[kind])) -> dict:
        session.add(Entry(tag="one"))
        await session.flush()
        lose()
        session.add(Entry(tag="two"))
        await session.flush()
        await session.commit()
        return {}

    assert_unavailable(await call(service.app, "POST", "/two"))
    assert await tags(url) == []
    assert (await service.insert("next", kind)()).status == 201
    assert await tags(url) == ["next"]
    await assert_whole(service)


@WRITING
@pytest.mark.parametrize("heard", [True, False], ids=["heard", "unheard"])
async def test_between_flush_and_commit_the_outcome_is_called_unknown_and_nothing_is_stored(
    heard: bool, kind: str, url: str, new_service, lose, tags
) -> None:
    service: Service = new_service(url)

    @service.app.post("/flushed")
    async def flushed(session: AsyncSession = Depends(SESSIONS[kind])) -> dict:
        session.add(Entry(tag="flushed"))
        await session.flush()
        if heard:
            await asyncio.to_thread(lose)
        else:
            lose()
        if kind == "manual":
            await session.commit()
        return {}

    assert_unavailable(await call(service.app, "POST", "/flushed"), unknown=True)
    assert await tags(url) == []
    assert (await service.insert("next", kind)()).status == 201
    assert await tags(url) == ["next"]
    await assert_whole(service)


@pytest.mark.dialects("postgresql")
@WRITING
async def test_during_commit_the_outcome_is_unknown(
    kind: str, url: str, database_server: DatabaseServer, new_service, tags
) -> None:
    service: Service = new_service(url)
    async with connection(url) as rival:
        for statement in (_SLEEPING, _IN_COMMIT):
            await rival.execute(text(statement))

    request = asyncio.create_task(service.insert("slow", kind)())
    backend = await backend_in("COMMIT", url, database_server, request)
    database_server.execute(END["postgresql"].format(backend=backend))
    async with asyncio.timeout(DEADLINE):
        reply = await request

    assert_unavailable(reply, unknown=True)
    assert await tags(url) == []
    assert (await service.insert("next", kind)()).status == 201
    assert await tags(url) == ["next"]
    await assert_whole(service)


@pytest.mark.dialects("mariadb")
@WRITING
async def test_during_commit_on_mariadb_the_outcome_is_unknown(
    kind: str, spare_url: str, spare_server: DatabaseServer, new_service, tags
) -> None:
    """A lock on the whole server holds COMMIT up, and no statement that is done before.

    MariaDB may have stored the row when it kills the connection that waits there, or not.
    """
    service: Service = new_service(spare_url)
    flushed, locked = asyncio.Event(), asyncio.Event()

    @service.app.post("/slow")
    async def slow(session: AsyncSession = Depends(SESSIONS[kind])) -> dict:
        session.add(Entry(tag="slow"))
        await session.flush()
        flushed.set()
        await locked.wait()
        await session.commit()
        return {}

    async with asyncio.timeout(2 * DEADLINE):
        request = asyncio.create_task(call(service.app, "POST", "/slow"))
        await flushed.wait()
        async with connection(spare_server.url(user=spare_server.admin)) as rival:
            await rival.execute(text("FLUSH TABLES WITH READ LOCK"))
            locked.set()
            backend = await backend_in("COMMIT", spare_url, spare_server, request)
            spare_server.execute(END["mariadb"].format(backend=backend))
            reply = await request
            await rival.execute(text("UNLOCK TABLES"))

    assert_unavailable(reply, unknown=True)
    stored = await tags(spare_url)
    assert stored in ([], ["slow"])
    assert (await service.insert("next", kind)()).status == 201
    assert await tags(spare_url) == ["next", *stored]
    await assert_whole(service)


@WRITING
async def test_between_commit_and_the_connections_return_the_request_succeeds(
    kind: str, url: str, new_service, lose, tags
) -> None:
    service: Service = new_service(url)

    @service.app.post("/committed")
    async def committed(session: AsyncSession = Depends(SESSIONS[kind])) -> dict:
        session.add(Entry(tag="committed"))
        event.listen(session.sync_session, "after_commit", lambda _: lose(), once=True)
        if kind == "manual":
            await session.commit()
        return {}

    assert (await call(service.app, "POST", "/committed")).status == 201
    assert await tags(url) == ["committed"]
    assert (await service.insert("next", kind)()).status == 201
    assert await tags(url) == ["committed", "next"]
    await assert_whole(service)


@KINDS
@pytest.mark.parametrize("moment", ["reset", "checkin"])
async def test_on_its_way_back_into_the_pool_a_lost_connection_harms_nobody(
    moment: str, kind: str, url: str, new_service, lose, once
) -> None:
    service: Service = new_service(url)
    ending = once(service.engine(kind), moment, lose)
    await service.fill(1, kind)

    ending.armed = True
    replies = [await service.read(kind)() for _ in range(2)]

    assert ending.done == 1
    assert [each.status for each in replies] == [200, 200]
    await assert_whole(service)
