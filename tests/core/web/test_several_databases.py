"""A request that writes to several databases: a documented order, and no false atomicity."""

from __future__ import annotations

import logging

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, Request, Response
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Reply, call
from hawkapi_sqlalchemy.core import PartialCommitError, get_session, on_commit, session_for
from schema import User

get_other = session_for("other")
VIOLATE = text("INSERT INTO deferred_orders VALUES (1, 4711)")


@pytest.fixture
def app(new_app, lone, url: str, other_url: str) -> HawkAPI:
    """An application with two databases."""
    return new_app(databases={"primary": lone(url), "other": lone(other_url)})


@pytest.fixture
def stored_in_both(stored, other_url: str):
    async def both() -> tuple[list[str], list[str]]:
        return await stored(), await stored(other_url)

    return both


async def test_both_are_stored_before_the_response_leaves(app: HawkAPI, stored_in_both) -> None:
    @app.post("/users")
    async def create(
        one: AsyncSession = Depends(get_session), two: AsyncSession = Depends(get_other)
    ) -> dict:
        one.add(User(email="one"))
        two.add(User(email="two"))
        return {}

    seen: list[object] = []

    async def look() -> None:
        seen.append(await stored_in_both())

    assert (await call(app, "POST", "/users", on_start=look)).status == 201
    assert seen == [(["one"], ["two"])]


@pytest.mark.parametrize("first", ["primary", "other"])
async def test_commits_follow_the_order_of_first_use(app: HawkAPI, first: str) -> None:
    order: list[str] = []
    for name, engine in app.state.db.engines.items():
        event.listen(engine.engine.sync_engine, "commit", lambda _, name=name: order.append(name))

    @app.post("/users")
    async def create(request: Request) -> dict:
        names = ["primary", "other"] if first == "primary" else ["other", "primary"]
        sessions = {name: await session_for(name)(request) for name in names}
        # What comes first afterwards does not matter.
        for name in reversed(names):
            sessions[name].add(User(email=name))
            await sessions[name].flush()
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert order == (["primary", "other"] if first == "primary" else ["other", "primary"])


@pytest.mark.parametrize("which", ["first", "second"])
async def test_a_violation_in_either_leaves_nothing_in_both(
    app: HawkAPI, existing, other_url: str, stored_in_both, which: str
) -> None:
    """All flush before the first commits, so that the second's violation is found in time."""

    @app.post("/users")
    async def create(
        one: AsyncSession = Depends(get_session), two: AsyncSession = Depends(get_other)
    ) -> dict:
        one.add(User(email="taken" if which == "first" else "new"))
        two.add(User(email="taken" if which == "second" else "new"))
        return {}

    await existing("taken")
    await existing("taken", where=other_url)
    reply = await call(app, "POST", "/users")

    assert reply.status == 409
    assert set(reply.json()) == {"type", "title", "status", "detail"}
    assert await stored_in_both() == (["taken"], ["taken"])


@pytest.mark.dialects("sqlite", "postgresql")
async def test_the_first_one_failing_at_commit_leaves_nothing_in_both(
    app: HawkAPI, deferred_orders, stored_in_both
) -> None:
    @app.post("/users")
    async def create(
        one: AsyncSession = Depends(get_session), two: AsyncSession = Depends(get_other)
    ) -> dict:
        one.add(User(email="one"))
        await one.execute(VIOLATE)
        two.add(User(email="two"))
        return {}

    await deferred_orders()
    reply = await call(app, "POST", "/users")

    assert reply.status == 409
    assert "committed" not in reply.json()
    assert await stored_in_both() == ([], [])


def assert_partial(reply: Reply, status: int) -> None:
    assert reply.status == status
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["committed"] == ["primary"]
    assert reply.json()["failed"] == "other"
    assert "stored" in reply.json()["detail"]


@pytest.mark.dialects("sqlite", "postgresql")
async def test_the_second_one_failing_at_commit_names_what_is_stored(
    app: HawkAPI, deferred_orders, other_url: str, stored_in_both
) -> None:
    ran: list[str] = []

    @app.post("/users")
    async def create(
        tasks: BackgroundTasks,
        one: AsyncSession = Depends(get_session),
        two: AsyncSession = Depends(get_other),
    ) -> dict:
        tasks.add_task(ran.append, "background task")
        on_commit(one, ran.append, "after the first")
        on_commit(two, ran.append, "after the second")
        one.add(User(email="one"))
        two.add(User(email="two"))
        await two.execute(VIOLATE)
        return {"original": True}

    await deferred_orders(other_url)
    reply = await call(app, "POST", "/users")

    assert_partial(reply, 409)
    assert ran == ["after the first"]
    assert await stored_in_both() == (["one"], [])


@pytest.mark.dialects("postgresql", "mariadb")
async def test_the_second_one_cut_off_after_the_first_committed_names_what_is_stored(
    app: HawkAPI, database_server, other_url: str, stored_in_both, caplog
) -> None:
    @app.post("/users")
    async def create(
        one: AsyncSession = Depends(get_session), two: AsyncSession = Depends(get_other)
    ) -> dict:
        on_commit(one, database_server.disconnect, make_url(other_url).database)
        one.add(User(email="one"))
        two.add(User(email="two"))
        return {"original": True}

    with caplog.at_level(logging.WARNING):
        reply = await call(app, "POST", "/users")

    assert_partial(reply, 503)
    assert reply.headers["retry-after"] == "1"
    assert "COMMIT failed on database 'other' after it had succeeded on 'primary'" in caplog.text
    assert await stored_in_both() == (["one"], [])


@pytest.mark.dialects("sqlite", "postgresql")
async def test_a_third_one_is_rolled_back_and_named_in_the_error(
    new_app, lone, deferred_orders, url: str, other_url: str
) -> None:
    app = new_app(
        databases={"primary": lone(other_url), "other": lone(url), "third": lone(other_url)}
    )
    errors: list[PartialCommitError] = []

    @app.exception_handler(PartialCommitError)
    async def handler(_: Request, error: PartialCommitError) -> Response:
        errors.append(error)
        return Response(b"half", status_code=502)

    @app.post("/users")
    async def create(
        one: AsyncSession = Depends(get_session),
        two: AsyncSession = Depends(get_other),
        three: AsyncSession = Depends(session_for("third")),
    ) -> dict:
        await two.execute(VIOLATE)
        return {}

    await deferred_orders()
    assert (await call(app, "POST", "/users")).status == 502
    (error,) = errors
    assert (error.committed, error.failed, error.rolled_back) == (("primary",), "other", ("third",))
    assert error.__cause__ is not None


async def test_a_failure_of_the_handler_rolls_both_back(app: HawkAPI, stored_in_both) -> None:
    @app.post("/users")
    async def create(
        one: AsyncSession = Depends(get_session), two: AsyncSession = Depends(get_other)
    ) -> Response:
        one.add(User(email="one"))
        two.add(User(email="two"))
        await one.flush()
        await two.flush()
        return Response(status_code=400)

    assert (await call(app, "POST", "/users")).status == 400
    assert app.state.db.checked_out == 0
    assert await stored_in_both() == ([], [])
