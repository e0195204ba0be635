"""Failure rolls back, and the connection is back in the pool before the next request needs it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hawkapi import Depends, HawkAPI, HTTPException, Request, Response
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import DEADLINE, call, until
from hawkapi_sqlalchemy.core import get_session
from schema import User

_SLOW = {
    "postgresql": "SELECT pg_sleep(60)",
    "mariadb": "SELECT SLEEP(60)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) "
    "SELECT count(*) FROM n",
}


@pytest.fixture
def is_undone(stored, with_users):
    """Check that nothing is stored, that the only connection is back, and that it works."""

    async def check(app: HawkAPI, *kept: str) -> None:
        assert app.state.db.checked_out == 0
        assert await stored() == list(kept)
        created = await call(with_users(app), "POST", "/users", query="email=next")
        assert created.status == 201
        assert await stored() == sorted([*kept, "next"])

    return check


async def test_an_exception_rolls_back(app: HawkAPI, is_undone) -> None:
    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()
        raise RuntimeError

    assert (await call(app, "POST", "/fail")).status == 500
    await is_undone(app)


@pytest.mark.parametrize("status", [303, 404, 500])
async def test_an_http_exception_rolls_back(app: HawkAPI, is_undone, status: int) -> None:
    """One of a status below 400, a redirect, is an exception all the same."""

    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()
        raise HTTPException(status)

    assert (await call(app, "POST", "/fail")).status == status
    await is_undone(app)


@pytest.mark.parametrize("status", [400, 409, 503])
async def test_a_returned_error_rolls_back(app: HawkAPI, is_undone, status: int) -> None:
    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> Response:
        session.add(User(email="ada"))
        await session.flush()
        return Response(b"refused", status_code=status)

    reply = await call(app, "POST", "/fail")
    assert (reply.status, reply.body) == (status, b"refused")
    await is_undone(app)


async def test_a_later_dependency_that_raises_rolls_back(app: HawkAPI, is_undone) -> None:
    """HawkAPI never closes the generators that it had started before."""

    async def opens(session: AsyncSession = Depends(get_session)) -> AsyncIterator[AsyncSession]:
        session.add(User(email="ada"))
        await session.flush()
        yield session

    async def raises() -> None:
        raise HTTPException(403)

    @app.post("/fail")
    async def fail(_: AsyncSession = Depends(opens), __: None = Depends(raises)) -> dict:
        return {}

    assert (await call(app, "POST", "/fail")).status == 403
    await is_undone(app)


async def test_an_invalid_request_rolls_back_what_a_dependency_wrote(
    app: HawkAPI, is_undone
) -> None:
    async def opens(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()

    @app.post("/fail")
    async def fail(number: int, _: None = Depends(opens)) -> dict:
        return {"number": number}

    assert (await call(app, "POST", "/fail", query="number=x")).status == 400
    await is_undone(app)


async def test_a_time_out_rolls_back(new_app, is_undone) -> None:
    app = new_app(hawkapi={"request_timeout": 0.3})
    cancelled: list[bool] = []

    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    assert (await call(app, "POST", "/fail")).status == 504
    assert cancelled
    await is_undone(app)


async def test_a_time_out_within_a_statement_rolls_back(new_app, dialect: str, is_undone) -> None:
    app = new_app(hawkapi={"request_timeout": 0.3})

    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()
        await session.execute(text(_SLOW[dialect]))
        await asyncio.Event().wait()

    assert (await call(app, "POST", "/fail")).status == 504
    await is_undone(app)


@pytest.mark.parametrize("where", ["between statements", "within a statement"])
async def test_a_cancelled_request_rolls_back(
    app: HawkAPI, dialect: str, is_undone, where: str
) -> None:
    flushed = asyncio.Event()

    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()
        flushed.set()
        if where == "within a statement":
            await session.execute(text(_SLOW[dialect]))
        await asyncio.Event().wait()

    task = asyncio.create_task(call(app, "POST", "/fail"))
    await asyncio.wait_for(flushed.wait(), DEADLINE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await is_undone(app)


async def test_a_request_cancelled_again_while_it_rolls_back_still_gives_its_connection_back(
    app: HawkAPI, is_undone
) -> None:
    flushed = asyncio.Event()

    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()
        flushed.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(call(app, "POST", "/fail"))
    await asyncio.wait_for(flushed.wait(), DEADLINE)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    # The release goes on by itself; the next request waits for it, as for any connection.
    await until(lambda: app.state.db.checked_out == 0)
    await is_undone(app)


async def test_a_disconnect_rolls_back_also_where_a_body_stands_before_it(
    app: HawkAPI, is_undone
) -> None:
    """Servers report in order; who did not read the body has not heard of the disconnect."""
    said = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"x", "more_body": False}]

    async def receive() -> dict:
        return said.pop() if len(said) > 1 else said[0]

    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        await session.flush()
        return {}

    await call(app, "POST", "/fail", receive=receive)
    await is_undone(app)


async def test_success_can_be_defined_by_the_application(new_app, stored) -> None:
    app = new_app(options={"commit_when": lambda status: status in {200, 422}})

    @app.post("/users")
    async def create(
        email: str, status: int, session: AsyncSession = Depends(get_session)
    ) -> Response:
        session.add(User(email=email))
        await session.flush()
        return Response(status_code=status)

    for status in (200, 201, 404, 422):
        reply = await call(app, "POST", "/users", query=f"email=got-{status}&status={status}")
        assert reply.status == status
        assert app.state.db.checked_out == 0
    assert await stored() == ["got-200", "got-422"]


async def test_an_explicit_commit_is_kept_when_the_request_fails_later(
    app: HawkAPI, is_undone
) -> None:
    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="kept"))
        await session.commit()
        session.add(User(email="lost"))
        await session.flush()
        raise HTTPException(400)

    assert (await call(app, "POST", "/fail")).status == 400
    await is_undone(app, "kept")


async def test_what_follows_an_explicit_commit_is_committed_too(app: HawkAPI, stored) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="one"))
        await session.commit()
        session.add(User(email="two"))
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert await stored() == ["one", "two"]


async def test_an_explicit_rollback_is_honoured(app: HawkAPI, stored) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="one"))
        await session.flush()
        await session.rollback()
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert await stored() == []


async def test_the_answer_is_true_while_a_task_still_uses_the_session(
    app: HawkAPI, dialect: str, stored
) -> None:
    """A server refuses COMMIT under a running statement; SQLite's thread does one by one."""
    tasks: list[asyncio.Task] = []

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        await session.flush()
        tasks.append(asyncio.create_task(session.execute(text(_SLOW[dialect]))))
        # Enough for the statement to be under way.
        await asyncio.sleep(0.05)
        return {"original": True}

    reply = await call(app, "POST", "/users")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert reply.status == (201 if dialect == "sqlite" else 500)
    assert await stored() == (["ada"] if reply.status == 201 else [])


async def test_a_session_that_cannot_end_is_given_up_and_keeps_no_other_open(
    new_app, lone, url: str, other_url: str, stored, caplog: pytest.LogCaptureFixture
) -> None:
    from sqlalchemy import event

    from hawkapi_sqlalchemy.core import session_for

    app = new_app(databases={"primary": lone(url), "other": lone(other_url)})

    @app.post("/fail")
    async def fail(
        first: AsyncSession = Depends(get_session),
        second: AsyncSession = Depends(session_for("other")),
    ) -> None:
        def refuse(*_: object) -> None:
            raise RuntimeError("of a listener")

        for session in (first, second):
            session.add(User(email="ada"))
            await session.flush()
        event.listen(first.sync_session, "after_transaction_end", refuse)
        raise HTTPException(400)

    assert (await call(app, "POST", "/fail")).status == 400
    assert "rollback failed, the connection is given up: RuntimeError" in caplog.text
    assert app.state.db.checked_out == 0
    assert await stored() == []
    assert await stored(other_url) == []


async def test_an_exception_answered_with_a_redirect_by_a_handler_of_the_application_rolls_back(
    app: HawkAPI, is_undone
) -> None:
    @app.exception_handler(LookupError)
    async def elsewhere(request: Request, error: Exception) -> Response:
        return Response(b"", status_code=303, headers={"location": "/elsewhere"})

    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))
        await session.flush()
        raise LookupError

    assert (await call(app, "POST", "/fail")).status == 303
    await is_undone(app)


async def test_two_tasks_on_one_session_leave_no_connection_behind(app: HawkAPI) -> None:
    """The most common mistake: SQLAlchemy refuses it, with one of the tasks still at work."""

    @app.post("/fail")
    async def fail(session: AsyncSession = Depends(get_session)) -> None:
        await asyncio.gather(session.execute(select(User)), session.execute(select(User)))

    assert (await call(app, "POST", "/fail")).status == 500
    assert app.state.db.checked_out == 0
    # What the other task still does must be over before its loop is.
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
