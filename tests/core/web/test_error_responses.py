"""What a client is told when the database fails: the same at a statement, a flush and COMMIT.

Also in debug mode nothing of the statement, its parameters or the URL is told.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from asgi import Reply, call
from hawkapi_sqlalchemy.core import get_session
from schema import Document, Order, User

SECRET = "tell-nobody"

_SLOW = {
    "postgresql": "SELECT pg_sleep(60) WHERE :secret <> ''",
    "mariadb": "SELECT SLEEP(60) WHERE :secret <> ''",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT count(*) FROM n WHERE :secret <> ''",
}


def unique(session: Session) -> None:
    session.add(User(email=SECRET))
    session.flush()


def foreign_key(session: Session) -> None:
    session.add(Order(user_id=4711))
    session.flush()


def stale(session: Session) -> None:
    document = session.scalars(select(Document)).one()
    session.execute(text("UPDATE documents SET version = version + 1"))
    document.title = f"{SECRET} anew"
    session.flush()


def locked(session: Session) -> None:
    session.execute(update(User).values(email=f"{SECRET} again"))


def slow(session: Session) -> None:
    name = session.get_bind().dialect.name
    session.execute(
        text(_SLOW["mariadb" if name == "mysql" else name]), {"secret": SECRET}
    ).scalar()


def something(session: Session) -> None:
    session.execute(text("SELECT 1 FROM users WHERE email = :secret"), {"secret": SECRET})


def nonsense(session: Session) -> None:
    session.execute(text("SELECT * FROM no_such_table WHERE x = :secret"), {"secret": SECRET})


MOMENTS = ["statement", "commit"]


@pytest.fixture
def provoke() -> Callable[..., Any]:
    """Let a request run into a fault, while its handler runs or while COMMIT does."""

    async def run(app: HawkAPI, fault: Callable[[Session], None], moment: str) -> Reply:
        @app.post("/fault")
        async def handler(session: AsyncSession = Depends(get_session)) -> dict:
            if moment == "statement":
                await session.run_sync(fault)
            else:
                event.listen(session.sync_session, "before_commit", fault)
            return {"original": True}

        return await call(app, "POST", "/fault")

    return run


def assert_told(reply: Reply, status: int, url: str) -> None:
    document = reply.json()
    assert reply.status == document["status"] == status, (reply.body, status)
    assert set(document) == {"type", "title", "status", "detail"}
    assert reply.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in reply.headers) is (status == 503)
    parts = make_url(url)
    told = reply.body.decode().lower()
    for secret in (SECRET, "select", "insert", "update", "original", "users", "sqlalche"):
        assert secret not in told
    for part in (parts.password, parts.database, parts.host, str(parts.port)):
        assert part is None or part not in told


@pytest.fixture
async def rows(url: str) -> None:
    """A user and a document that exist."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(insert(User).values(email=SECRET))
        await connection.execute(insert(Document).values(title=SECRET, version=1))
    await engine.dispose()


@pytest.fixture
async def lock(url: str, rows: None, dialect: str) -> AsyncIterator[None]:
    """The user's row is locked by somebody else."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(update(User).values(email="locked"))
        yield
        await connection.rollback()
    await engine.dispose()


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("fault", "status"), [(unique, 409), (foreign_key, 409), (stale, 409), (nonsense, 500)]
)
async def test_a_statement_that_fails(
    new_app, rows, url: str, provoke, fault: Callable, status: int, moment: str
) -> None:
    reply = await provoke(new_app(hawkapi={"debug": True}), fault, moment)
    assert_told(reply, status, url)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_statement_past_its_time_limit_is_a_504(
    new_app, url: str, provoke, moment: str
) -> None:
    app = new_app(hawkapi={"debug": True}, statement_timeout=0.15)
    assert_told(await provoke(app, slow, moment), 504, url)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_a_lock_held_for_too_long_is_a_503(
    new_app, lock, url: str, dialect: str, provoke, moment: str
) -> None:
    # MariaDB counts whole seconds.
    limit = 1.0 if dialect == "mariadb" else 0.15
    app = new_app(hawkapi={"debug": True}, lock_timeout=limit)
    assert_told(await provoke(app, locked, moment), 503, url)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_exhausted_pool_is_a_503(new_app, url: str, provoke, moment: str) -> None:
    app = new_app(hawkapi={"debug": True}, pool_timeout=0.1)
    async with app.state.db.get().engine.connect():
        assert_told(await provoke(app, something, moment), 503, url)


@pytest.mark.parametrize("moment", MOMENTS)
async def test_an_unreachable_server_is_a_503(
    new_app, url: str, tmp_path: Path, dialect: str, provoke, moment: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    nowhere = make_url(url).set(port=port).render_as_string(hide_password=False)
    if dialect == "sqlite":
        nowhere = f"sqlite+aiosqlite:///{tmp_path / 'no-such-folder' / 'database.sqlite'}"
    app = new_app(hawkapi={"debug": True}, where=nowhere)
    assert_told(await provoke(app, something, moment), 503, nowhere)


@pytest.mark.dialects("postgresql")
async def test_a_serialisation_failure_found_by_commit_is_a_503(
    new_app, existing, stored, url: str
) -> None:
    """Two transactions read what the other one writes; PostgreSQL tells the second at COMMIT."""
    app = new_app(hawkapi={"debug": True}, engine_kwargs={"isolation_level": "SERIALIZABLE"})
    rival = create_async_engine(url, poolclass=NullPool, isolation_level="SERIALIZABLE")

    @app.post("/count")
    async def count(session: AsyncSession = Depends(get_session)) -> dict:
        async with rival.connect() as other:
            for each in (session, other):
                (await each.execute(select(User.email))).all()
            await session.execute(insert(User).values(email="mine"))
            await other.execute(insert(User).values(email="theirs"))
            await other.commit()
        return {"original": True}

    await existing("ada")
    reply = await call(app, "POST", "/count")
    await rival.dispose()

    assert_told(reply, 503, url)
    assert await stored() == ["ada", "theirs"]


@pytest.mark.dialects("sqlite")
async def test_a_deadlocked_pair_of_requests_does_not_exist_on_sqlite(new_app, stored) -> None:
    """Writers queue: both of two requests that would cross each other are stored."""
    app = new_app(pool_size=2)

    @app.post("/users")
    async def create(email: str, session: AsyncSession = Depends(get_session)) -> dict:
        (await session.execute(select(User.email))).all()
        await asyncio.sleep(0)
        session.add(User(email=email))
        return {}

    replies = await asyncio.gather(
        *(call(app, "POST", "/users", query=f"email={number}") for number in range(8))
    )
    assert {reply.status for reply in replies} == {201}
    assert len(await stored()) == 8
