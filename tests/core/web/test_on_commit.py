"""Work registered with `on_commit` follows a COMMIT that held, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from asgi import Reply, call
from hawkapi_sqlalchemy.core import Database, get_session, on_commit, session_for
from schema import User

type Work = Callable[[AsyncSession], Awaitable[None]]
type Unit = Callable[[Work], Awaitable[bool]]


class Refused(Exception):
    """What a unit of work raises of its own."""


@pytest.fixture(params=["request", "block"])
def unit(request, app: HawkAPI) -> Unit:
    """Run work in a request or in `db.session()`, and tell whether it was acknowledged."""

    async def in_request(work: Work) -> bool:
        @app.post("/work")
        async def handler(session: AsyncSession = Depends(get_session)) -> dict:
            await work(session)
            return {}

        return (await call(app, "POST", "/work")).status == 201

    async def in_block(work: Work) -> bool:
        try:
            async with app.state.db.session() as session:
                await work(session)
        except (Refused, SQLAlchemyError):
            return False
        return True

    return in_request if request.param == "request" else in_block


async def test_callbacks_run_in_order_with_their_arguments(unit: Unit) -> None:
    ran: list[tuple] = []

    def plain(*args: object) -> None:
        ran.append(("plain", *args))

    async def coroutine(*args: object) -> None:
        await asyncio.sleep(0)
        ran.append(("coroutine", *args))

    async def work(session: AsyncSession) -> None:
        on_commit(session, coroutine, 1, "one")
        session.add(User(email="ada"))
        on_commit(session, plain, 2)
        await session.flush()
        on_commit(session, coroutine)
        on_commit(session, plain, 4, None)
        assert ran == []

    assert await unit(work)
    assert ran == [("coroutine", 1, "one"), ("plain", 2), ("coroutine",), ("plain", 4, None)]


async def test_the_write_is_stored_and_the_connection_free_when_a_callback_runs(
    unit: Unit, app: HawkAPI, stored
) -> None:
    seen: list[list[str]] = []
    in_use: list[int] = []

    async def look() -> None:
        in_use.append(app.state.db.checked_out)
        seen.append(await stored())

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        on_commit(session, look)

    assert await unit(work)
    assert seen == [["ada"]]
    assert in_use == [0]


async def test_a_callback_precedes_the_start_of_the_response(app: HawkAPI) -> None:
    """The client learns of the success when the callbacks are done, not before."""
    reply = Reply()
    messages_before: list[int] = []

    async def look() -> None:
        await asyncio.sleep(0)
        messages_before.append(len(reply.messages))

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        on_commit(session, look)
        return {}

    await call(app, "POST", "/users", reply=reply)

    assert reply.status == 201
    assert messages_before == [0]


async def test_a_callback_may_open_a_session_of_its_own_where_the_pool_has_one_connection(
    unit: Unit, app: HawkAPI, stored
) -> None:
    ran: list[str] = []

    async def follow(email: str) -> None:
        async with app.state.db.session() as session:
            session.add(User(email=email))
        ran.append(email)

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        on_commit(session, follow, "bob")
        on_commit(session, follow, "eve")

    assert await unit(work)
    assert ran == ["bob", "eve"]
    assert await stored() == ["ada", "bob", "eve"]


async def test_no_callback_runs_after_an_exception(unit: Unit, stored) -> None:
    ran: list[str] = []
    raised: list[str] = []

    async def work(session: AsyncSession) -> None:
        on_commit(session, ran.append, "before")
        session.add(User(email="ada"))
        await session.flush()
        on_commit(session, ran.append, "after")
        raised.append("refused")
        raise Refused

    assert not await unit(work)
    assert raised == ["refused"]
    assert ran == []
    assert await stored() == []


async def test_no_callback_runs_when_the_last_flush_fails(unit: Unit, existing, stored) -> None:
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        on_commit(session, ran.append, "callback")

    await existing("ada")

    assert not await unit(work)
    assert ran == []
    assert await stored() == ["ada"]


async def test_no_callback_runs_when_commit_itself_fails(
    request, unit: Unit, dialect: str, url: str, deferred_orders, stored
) -> None:
    ran: list[str] = []
    if dialect != "mariadb":
        await deferred_orders()

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        await session.flush()
        on_commit(session, ran.append, "callback")
        if dialect == "mariadb":
            # Without deferred constraints, only a lost connection makes a COMMIT fail.
            request.getfixturevalue("database_server").disconnect(make_url(url).database)
        else:
            await session.execute(text("INSERT INTO deferred_orders VALUES (1, 4711)"))

    assert not await unit(work)
    assert ran == []
    assert await stored() == []


async def test_callbacks_of_a_rolled_back_transaction_do_not_follow_the_next_commit(
    unit: Unit, stored
) -> None:
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        on_commit(session, ran.append, "ada")
        await session.flush()
        await session.rollback()
        session.add(User(email="bob"))
        on_commit(session, ran.append, "bob")

    assert await unit(work)
    assert ran == ["bob"]
    assert await stored() == ["bob"]


async def test_callbacks_of_a_released_savepoint_wait_for_the_commit(unit: Unit, stored) -> None:
    """SQLAlchemy reports the release through `after_commit` too."""
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        on_commit(session, ran.append, "before")
        async with session.begin_nested():
            session.add(User(email="ada"))
            on_commit(session, ran.append, "inside")
        assert ran == []
        on_commit(session, ran.append, "after")

    assert await unit(work)
    assert ran == ["before", "inside", "after"]
    assert await stored() == ["ada"]


async def test_callbacks_of_a_released_savepoint_are_dropped_with_the_transaction(
    unit: Unit,
) -> None:
    ran: list[str] = []
    released: list[str] = []

    async def work(session: AsyncSession) -> None:
        async with session.begin_nested():
            session.add(User(email="ada"))
            on_commit(session, ran.append, "inside")
        released.append("savepoint")
        raise Refused

    assert not await unit(work)
    assert released == ["savepoint"]
    assert ran == []


async def test_callbacks_of_a_rolled_back_savepoint_are_dropped(unit: Unit, stored) -> None:
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        on_commit(session, ran.append, "before")
        with pytest.raises(Refused):
            async with session.begin_nested():
                session.add(User(email="ada"))
                on_commit(session, ran.append, "inside")
                raise Refused
        on_commit(session, ran.append, "after")
        session.add(User(email="bob"))

    assert await unit(work)
    assert ran == ["before", "after"]
    assert await stored() == ["bob"]


async def test_a_later_savepoint_that_is_rolled_back_leaves_the_callbacks_of_a_released_one(
    unit: Unit,
) -> None:
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        async with session.begin_nested():
            on_commit(session, ran.append, "released")
        savepoint = await session.begin_nested()
        on_commit(session, ran.append, "rolled back")
        await savepoint.rollback()

    assert await unit(work)
    assert ran == ["released"]


@pytest.mark.parametrize(
    ("inner_held", "outer_held", "expected"),
    [
        pytest.param(True, True, ["root", "outer", "inner", "outer again"], id="both-released"),
        pytest.param(False, True, ["root", "outer", "outer again"], id="inner-rolled-back"),
        pytest.param(True, False, ["root"], id="outer-rolled-back"),
        pytest.param(False, False, ["root"], id="both-rolled-back"),
    ],
)
async def test_callbacks_of_nested_savepoints_share_the_fate_of_those_around_them(
    app: HawkAPI, inner_held: bool, outer_held: bool, expected: list[str]
) -> None:
    ran: list[str] = []

    async with app.state.db.session() as session:
        on_commit(session, ran.append, "root")
        outer = await session.begin_nested()
        on_commit(session, ran.append, "outer")
        inner = await session.begin_nested()
        on_commit(session, ran.append, "inner")
        await (inner.commit() if inner_held else inner.rollback())
        on_commit(session, ran.append, "outer again")
        await (outer.commit() if outer_held else outer.rollback())
        assert ran == []

    assert ran == expected


async def test_a_flush_that_failed_inside_a_savepoint_drops_the_callbacks_inside_alone(
    unit: Unit, existing, stored
) -> None:
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        session.add(User(email="bob"))
        on_commit(session, ran.append, "before")
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                on_commit(session, ran.append, "inside")
                session.add(User(email="ada"))
                await session.flush()
        on_commit(session, ran.append, "after")

    await existing("ada")

    assert await unit(work)
    assert await stored() == ["ada", "bob"]
    assert ran == ["before", "after"]


async def test_a_callback_that_fails_is_logged_and_does_not_undo_the_success(
    unit: Unit, stored, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []

    def fails() -> None:
        raise Refused("sync")

    async def fails_later() -> None:
        await asyncio.sleep(0)
        raise Refused("async")

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        on_commit(session, fails)
        on_commit(session, fails_later)
        on_commit(session, ran.append, "after both")

    assert await unit(work)
    assert await stored() == ["ada"]
    assert ran == ["after both"]
    logged = [each for each in caplog.records if each.name == "hawkapi_sqlalchemy"]
    assert [each.levelno for each in logged] == [logging.ERROR, logging.ERROR]
    assert [str(each.exc_info[1]) for each in logged] == ["sync", "async"]
    assert ["fails" in logged[0].message, "fails_later" in logged[1].message] == [True, True]


async def test_a_database_error_of_a_callback_does_not_undo_the_success(
    unit: Unit, app: HawkAPI, stored, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even one that would have been a 409 of the request's own."""

    async def collide() -> None:
        async with app.state.db.session() as session:
            session.add(User(email="ada"))

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        on_commit(session, collide)

    assert await unit(work)
    assert await stored() == ["ada"]
    assert "collide" in caplog.text


async def test_an_explicit_commit_runs_what_was_registered_before_it(unit: Unit) -> None:
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        on_commit(session, ran.append, "first")
        await session.commit()
        assert ran == ["first"]
        on_commit(session, ran.append, "second")
        session.add(User(email="bob"))
        await session.flush()
        assert ran == ["first"]

    assert await unit(work)
    assert ran == ["first", "second"]


async def test_a_failure_after_an_explicit_commit_drops_only_what_followed_it(
    unit: Unit, stored
) -> None:
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        session.add(User(email="ada"))
        on_commit(session, ran.append, "first")
        await session.commit()
        on_commit(session, ran.append, "second")
        raise Refused

    assert not await unit(work)
    assert ran == ["first"]
    assert await stored() == ["ada"]


async def test_a_session_without_commit_runs_callbacks_only_after_a_commit_of_the_handlers_own(
    app: HawkAPI,
) -> None:
    ran: list[str] = []

    @app.post("/users")
    async def create(
        commit: bool, session: AsyncSession = Depends(session_for("primary", commit=False))
    ) -> dict:
        on_commit(session, ran.append, f"commit={commit}")
        if commit:
            session.add(User(email="ada"))
            await session.commit()
        return {}

    for commit in (False, True):
        assert (await call(app, "POST", "/users", query=f"commit={commit}")).status == 201
    assert ran == ["commit=True"]


async def test_a_callback_may_be_registered_before_any_statement(unit: Unit, stored) -> None:
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        assert not session.in_transaction()
        on_commit(session, ran.append, "callback")
        session.add(User(email="ada"))

    assert await unit(work)
    assert ran == ["callback"]
    assert await stored() == ["ada"]


async def test_a_callback_runs_also_where_no_statement_ever_did(unit: Unit) -> None:
    """Whoever registers one need not know whether somebody else writes."""
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        on_commit(session, ran.append, "callback")

    assert await unit(work)
    assert ran == ["callback"]


async def test_a_callback_may_be_registered_during_the_flush_of_the_commit_itself(
    unit: Unit,
) -> None:
    """Model events are where registrations come from."""
    ran: list[str] = []

    async def work(session: AsyncSession) -> None:
        def note(sync_session: Session, *_: object) -> None:
            on_commit(sync_session, ran.append, "flushed")

        event.listen(session.sync_session, "after_flush", note)
        session.add(User(email="ada"))

    assert await unit(work)
    assert ran == ["flushed"]


async def test_a_sync_session_takes_callbacks_too(unit: Unit) -> None:
    """Inside `run_sync`, and in events, the plain `Session` is what there is."""
    ran: list[str] = []

    def register(sync_session: Session) -> None:
        on_commit(sync_session, ran.append, "in run_sync")

    async def later() -> None:
        ran.append("coroutine")

    async def work(session: AsyncSession) -> None:
        on_commit(session, ran.append, "async session")
        on_commit(session.sync_session, ran.append, "sync session")
        await session.run_sync(register)
        on_commit(session.sync_session, later)
        session.add(User(email="ada"))

    assert await unit(work)
    assert ran == ["async session", "sync session", "in run_sync", "coroutine"]


async def test_work_that_is_retried_runs_its_callbacks_once(
    standalone: Database, dialect: str, stored
) -> None:
    """Those of the runs that were rolled back are gone with them."""
    runs: list[int] = []
    ran: list[int] = []

    class SerializationFailure(Exception):
        sqlstate = "40001"

    async def work(session: AsyncSession) -> str:
        runs.append(len(runs) + 1)
        session.add(User(email="ada"))
        await session.flush()
        on_commit(session, ran.append, runs[-1])
        if runs[-1] < 3:
            raise OperationalError("SELECT 1", {}, SerializationFailure())
        return "done"

    assert await standalone.run(work, max_wait=0.01) == "done"
    assert runs == [1, 2, 3]
    assert ran == [3]
    assert await stored() == ["ada"]
