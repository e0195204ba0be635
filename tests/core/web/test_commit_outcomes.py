"""What only a real server can do to a request's last flush and its COMMIT, and what is told of it.

The faults here happen where they happen in production: a deadlock between two requests, a time
limit inside COMMIT, a connection that is cut while the server commits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import event, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from asgi import DEADLINE, Reply, call
from hawkapi_sqlalchemy.core import get_session, on_commit, session_for
from hawkapi_sqlalchemy.core.ending import has_ended
from schema import User

SECRET = "tell-nobody"
MOMENTS = pytest.mark.parametrize("moment", ["flush", "commit"])

get_other = session_for("other")

_FUNCTION = (
    "CREATE FUNCTION sleeps() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$"
)
_TRIGGER = (
    "CREATE CONSTRAINT TRIGGER sleeps AFTER INSERT ON users DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION sleeps()"
)
_KILL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}' "
    "AND wait_event = 'PgSleep' AND query ILIKE 'commit%'"
)


def assert_problem(reply: Reply, status: int, url: str, extra: set[str] = frozenset()) -> dict:
    """The reply is a problem document that tells nothing of what is inside."""
    document = reply.json()
    assert reply.status == document["status"] == status, reply.body
    assert set(document) == {"type", "title", "status", "detail"} | extra
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers.get("retry-after") == ("1" if status == 503 else None)
    told = reply.body.decode().lower()
    parts = make_url(url)
    hidden = [SECRET, "insert", "update", "users", "original", "sqlalche", parts.password]
    hidden += [parts.database, parts.host, str(parts.port)]
    assert [each for each in hidden if each and each in told] == []
    return document


@pytest.fixture
def create(new_app) -> Callable[..., HawkAPI]:
    """Make an application in debug mode, whose `POST /users` inserts at a flush or at COMMIT."""

    def make(moment: str, **config) -> HawkAPI:
        app = new_app(hawkapi={"debug": True}, **config)

        @app.post("/users")
        async def insert_user(session: AsyncSession = Depends(get_session)) -> dict:
            session.add(User(email=SECRET))
            if moment == "flush":
                await session.flush()
            return {"original": True}

        return app

    return make


@pytest.fixture
async def sleeps_in_commit(url: str) -> None:
    """COMMIT takes a minute once a user was inserted."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        for statement in (_FUNCTION, _TRIGGER):
            await connection.execute(text(statement))
    await engine.dispose()


@MOMENTS
async def test_a_missing_value_is_a_500(new_app, url: str, moment: str) -> None:
    """An integrity error that no client can resolve is no conflict."""
    app = new_app(hawkapi={"debug": True})

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email=None))
        if moment == "flush":
            await session.flush()
        return {"original": True}

    assert_problem(await call(app, "POST", "/users"), 500, url)


@MOMENTS
async def test_the_answer_is_the_same_without_debug_mode(
    new_app, existing, url: str, moment: str
) -> None:
    await existing(SECRET)
    replies = []
    for debug in (False, True):
        app = new_app(hawkapi={"debug": debug})

        @app.post("/users")
        async def create(session: AsyncSession = Depends(get_session)) -> dict:
            session.add(User(email=SECRET))
            if moment == "flush":
                await session.flush()
            return {"original": True}

        replies.append(await call(app, "POST", "/users"))
    for reply in replies:
        assert_problem(reply, 409, url)
    assert replies[0].messages == replies[1].messages


@pytest.mark.dialects("postgresql", "mariadb")
@MOMENTS
async def test_of_two_deadlocked_requests_one_gets_a_503_and_the_other_is_stored(
    new_app, url: str, dialect: str, database_server, existing, stored, moment: str
) -> None:
    if dialect == "postgresql":
        database = make_url(url).database
        database_server.execute(f"ALTER DATABASE \"{database}\" SET deadlock_timeout = '30ms'")
    await existing("one", "two")
    app = new_app(hawkapi={"debug": True}, pool_size=2)
    both = asyncio.Barrier(2)

    @app.post("/users")
    async def change(first: str, second: str, session: AsyncSession = Depends(get_session)) -> dict:
        users = {user.email: user for user in await session.scalars(select(User))}
        users[first].email = f"{first} by {first}"
        await session.flush()
        await both.wait()
        users[second].email = f"{second} by {first}"
        if moment == "flush":
            await session.flush()
        return {"original": True}

    async with asyncio.timeout(DEADLINE):
        replies = await asyncio.gather(
            call(app, "POST", "/users", query="first=one&second=two"),
            call(app, "POST", "/users", query="first=two&second=one"),
        )

    assert sorted(reply.status for reply in replies) == [201, 503]
    for reply, winner in zip(replies, ("two", "one"), strict=True):
        if reply.status == 503:
            assert_problem(reply, 503, url)
            assert await stored() == sorted([f"one by {winner}", f"two by {winner}"])


@pytest.mark.dialects("postgresql")
@MOMENTS
async def test_a_row_that_was_changed_meanwhile_is_a_503_under_serializable(
    new_app, existing, stored, url: str, moment: str
) -> None:
    app = new_app(hawkapi={"debug": True}, engine_kwargs={"isolation_level": "SERIALIZABLE"})
    rival = create_async_engine(url, poolclass=NullPool)

    @app.post("/users")
    async def change(session: AsyncSession = Depends(get_session)) -> dict:
        user = await session.scalar(select(User))
        async with rival.begin() as connection:
            await connection.execute(update(User).values(email="theirs"))
        user.email = SECRET
        if moment == "flush":
            await session.flush()
        return {"original": True}

    await existing("ada")
    reply = await call(app, "POST", "/users")
    await rival.dispose()

    assert_problem(reply, 503, url)
    assert await stored() == ["theirs"]


@pytest.mark.dialects("sqlite")
async def test_a_snapshot_that_is_too_old_to_write_is_a_503(new_app, url: str, stored) -> None:
    """A session that did not ask to write begins without the lock, and may come too late."""
    app = new_app(hawkapi={"debug": True}, pool_size=2)

    @app.post("/users")
    async def create(
        session: AsyncSession = Depends(session_for("primary", commit=False)),
    ) -> dict:
        (await session.execute(select(User))).all()
        async with app.state.db.session() as rival:
            rival.add(User(email="theirs"))
        session.add(User(email=SECRET))
        await session.commit()
        return {"original": True}

    assert_problem(await call(app, "POST", "/users"), 503, url)
    assert await stored() == ["theirs"]


@MOMENTS
async def test_waiting_for_another_transactions_lock_too_long_is_a_503(
    create, url: str, dialect: str, stored, moment: str
) -> None:
    # MariaDB counts whole seconds.
    app = create(moment, lock_timeout=1.0 if dialect == "mariadb" else 0.1)
    rival = create_async_engine(url, poolclass=NullPool)
    async with rival.connect() as connection:
        await connection.execute(insert(User).values(email=SECRET))
        reply = await call(app, "POST", "/users")
        await connection.rollback()
    await rival.dispose()

    document = assert_problem(reply, 503, url)
    assert "locked" in document["detail"]
    assert await stored() == []


@pytest.mark.dialects("postgresql", "mariadb")
@MOMENTS
async def test_a_flush_past_the_statements_time_limit_is_a_504(
    create, url: str, stored, moment: str
) -> None:
    """Waiting for a lock counts."""
    app = create(moment, statement_timeout=0.1)
    rival = create_async_engine(url, poolclass=NullPool)
    async with rival.connect() as connection:
        await connection.execute(insert(User).values(email=SECRET))
        reply = await call(app, "POST", "/users")
        await connection.rollback()
    await rival.dispose()

    assert_problem(reply, 504, url)
    assert await stored() == []


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_connection_that_is_cut_before_a_flush_is_a_503(
    new_app, url: str, database_server, stored
) -> None:
    app = new_app(hawkapi={"debug": True})

    @app.post("/users")
    async def create(cut: bool, session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(select(User))
        if cut:
            database_server.disconnect(make_url(url).database)
        session.add(User(email=SECRET))
        await session.flush()
        return {"original": True}

    assert_problem(await call(app, "POST", "/users", query="cut=true"), 503, url)
    assert (await call(app, "POST", "/users", query="cut=false")).status == 201
    assert await stored() == [SECRET]


@pytest.mark.dialects("postgresql")
@pytest.mark.usefixtures("sleeps_in_commit")
async def test_a_connection_that_is_lost_during_commit_is_a_503_of_unknown_outcome(
    create, url: str, database_server, caplog: pytest.LogCaptureFixture
) -> None:
    app = create("flush")
    kill = _KILL.format(database=make_url(url).database)
    request = asyncio.create_task(call(app, "POST", "/users"))
    async with asyncio.timeout(DEADLINE):
        while not await asyncio.to_thread(database_server.execute, kill):
            assert not request.done()
            await asyncio.sleep(0.01)
        reply = await request

    document = assert_problem(reply, 503, url)
    assert "look whether it is there" in document["detail"]
    assert "whether the transaction is stored is unknown" in caplog.text
    assert SECRET not in caplog.text
    assert make_url(url).password not in caplog.text


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_partial_commit_whose_second_outcome_is_unknown_says_so(
    new_app, lone, database_server, stored, url: str, other_url: str
) -> None:
    app = new_app(
        databases={"primary": lone(url), "other": lone(other_url)}, hawkapi={"debug": True}
    )

    @app.post("/users")
    async def create(
        first: AsyncSession = Depends(get_session), second: AsyncSession = Depends(get_other)
    ) -> dict:
        first.add(User(email=SECRET))
        second.add(User(email=SECRET))
        on_commit(first, database_server.disconnect, make_url(other_url).database)
        return {"original": True}

    reply = await call(app, "POST", "/users")

    document = assert_problem(reply, 503, other_url, {"committed", "failed"})
    assert (document["committed"], document["failed"]) == (["primary"], "other")
    assert "look whether it is there" in document["detail"]
    assert await stored() == [SECRET]


@pytest.mark.dialects("sqlite", "postgresql")
async def test_the_only_connection_serves_the_next_request_after_a_commit_that_failed(
    request, app: HawkAPI, dialect: str, deferred_orders, with_users, stored
) -> None:
    await deferred_orders()

    @app.post("/orders")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(text("INSERT INTO deferred_orders VALUES (1, 4711)"))
        return {"original": True}

    assert (await call(app, "POST", "/orders")).status == 409
    assert (await call(with_users(app), "POST", "/users", query="email=ada")).status == 201
    assert await stored() == ["ada"]


async def test_sessions_of_several_databases_end_and_serve_the_next_request_after_a_failed_commit(
    request, new_app, lone, dialect: str, deferred_orders, stored, url: str, other_url: str
) -> None:
    """On MariaDB, without deferred constraints, the first COMMIT fails by a lost connection."""
    app = new_app(databases={"primary": lone(url), "other": lone(other_url)})
    sessions: list[AsyncSession] = []
    if dialect != "mariadb":
        await deferred_orders()

    async def spoil(session: AsyncSession) -> None:
        if dialect == "mariadb":
            server = request.getfixturevalue("database_server")
            event.listen(
                session.sync_session,
                "before_commit",
                lambda _: server.disconnect(make_url(url).database),
            )
        else:
            await session.execute(text("INSERT INTO deferred_orders VALUES (1, 4711)"))

    @app.post("/users")
    async def create(
        email: str,
        spoilt: bool,
        first: AsyncSession = Depends(get_session),
        second: AsyncSession = Depends(get_other),
    ) -> dict:
        for session in (first, second):
            session.add(User(email=email))
            await session.flush()
            sessions.append(session)
        if spoilt:
            await spoil(first)
        return {"original": True}

    in_use: list[int] = []

    async def look() -> None:
        in_use.append(app.state.db.checked_out)

    reply = await call(app, "POST", "/users", query="email=ada&spoilt=true", on_start=look)

    assert in_use == [0]
    assert_problem(reply, 503 if dialect == "mariadb" else 409, url)
    assert [has_ended(each) for each in sessions] == [True, True]
    assert app.state.db.checked_out == 0
    assert await stored() == []
    assert await stored(other_url) == []
    assert (await call(app, "POST", "/users", query="email=bob&spoilt=false")).status == 201
    assert await stored() == ["bob"]
    assert await stored(other_url) == ["bob"]
