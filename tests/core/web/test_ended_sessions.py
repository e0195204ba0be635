"""A session ends with its request: used later it refuses, and begins no transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, Request
from sqlalchemy import event, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import (
    SessionEndedError,
    get_replica_session,
    get_session,
    resolve_database,
    session_for,
)
from schema import User

USES: dict[str, Callable[[AsyncSession], Awaitable[object]]] = {
    "execute": lambda session: session.execute(text("SELECT 1")),
    "scalars": lambda session: session.scalars(select(User)),
    "scalar": lambda session: session.scalar(select(User.id)),
    "get": lambda session: session.get(User, 1),
    "stream": lambda session: session.stream(select(User)),
    "commit": lambda session: session.commit(),
    "rollback": lambda session: session.rollback(),
    "flush": lambda session: session.flush(),
    "connection": lambda session: session.connection(),
    "run_sync": lambda session: session.run_sync(lambda _: None),
    "add": lambda session: session.add(User(email="late")),
    "add_all": lambda session: session.add_all([User(email="late")]),
    "delete": lambda session: session.delete(User(email="late")),
    "merge": lambda session: session.merge(User(email="late")),
    "begin": lambda session: session.begin().__aenter__(),
    "begin_nested": lambda session: session.begin_nested().__aenter__(),
    "new": lambda session: session.new,
    "is_active": lambda session: session.is_active,
}


@pytest.fixture
async def begun(app: HawkAPI) -> list[str]:
    """The transactions and connections that the application's engine begins from now on."""
    seen: list[str] = []
    engine = app.state.db.get().engine.sync_engine
    event.listen(engine, "begin", lambda _: seen.append("begin"))
    event.listen(engine.pool, "checkout", lambda *_: seen.append("checkout"))
    return seen


@pytest.fixture
def keep(app: HawkAPI) -> Callable[..., Awaitable[AsyncSession]]:
    """Serve one request, and answer the session that it leaves behind."""
    kept: list[AsyncSession] = []

    @app.get("/keep")
    async def handler(session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(text("SELECT 1"))
        kept.append(session)
        return {}

    async def request() -> AsyncSession:
        assert (await call(app, "GET", "/keep")).status == 200
        return kept[-1]

    return request


async def test_every_use_after_the_response_refuses_and_says_what_to_use(
    app: HawkAPI, keep, begun: list[str]
) -> None:
    session = await keep()
    begun.clear()

    for name, use in USES.items():
        with pytest.raises(SessionEndedError, match=r"db\.session\(\)") as refused:
            answer = use(session)
            if hasattr(answer, "__await__"):
                await answer
        assert "resolve_database" in str(refused.value), name
    assert begun == []
    assert app.state.db.checked_out == 0


async def test_the_sync_session_below_it_begins_nothing_either(
    app: HawkAPI, keep, begun: list[str]
) -> None:
    session = await keep()
    begun.clear()

    with pytest.raises(InvalidRequestError):
        session.sync_session.execute(text("SELECT 1"))
    assert begun == []


async def test_the_session_ends_whatever_the_outcome(app: HawkAPI, existing) -> None:
    kept: list[AsyncSession] = []

    @app.post("/users")
    async def create(email: str, session: AsyncSession = Depends(get_session)) -> dict:
        kept.append(session)
        session.add(User(email=email))
        if email == "raises":
            raise RuntimeError
        return {}

    await existing("ada")
    statuses = [
        (await call(app, "POST", "/users", query=f"email={email}")).status
        for email in ("new", "ada", "raises")
    ]

    assert statuses == [201, 409, 500]
    for session in kept:
        with pytest.raises(SessionEndedError):
            session.add(User(email="late"))


async def test_a_background_task_is_told_and_stores_nothing(
    app: HawkAPI, stored, begun: list[str]
) -> None:
    refused: list[Exception] = []

    async def late(session: AsyncSession) -> None:
        begun.clear()
        for use in (
            lambda: session.execute(text("INSERT INTO users (email) VALUES ('late')")),
            lambda: session.commit(),
        ):
            try:
                await use()
            except SessionEndedError as error:
                refused.append(error)

    @app.post("/users")
    async def create(tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        tasks.add_task(late, session)
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert len(refused) == 2
    assert begun == []
    assert await stored() == ["ada"]


async def test_a_background_task_may_open_a_session_of_its_own(app: HawkAPI, stored) -> None:
    """Even with a pool of one connection: the request's has been given back."""

    async def late(request: Request) -> None:
        async with resolve_database(request.scope.get("app")).session() as session:
            session.add(User(email="late"))

    @app.post("/users")
    async def create(
        request: Request, tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)
    ) -> dict:
        session.add(User(email="ada"))
        tasks.add_task(late, request)
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert await stored() == ["ada", "late"]


@pytest.mark.parametrize(
    "dependency", [get_session, get_replica_session, session_for("primary", commit=False)]
)
async def test_no_session_is_given_once_the_response_has_begun(
    app: HawkAPI, begun: list[str], dependency
) -> None:
    refused: list[str] = []

    async def mounted(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with pytest.raises(SessionEndedError) as error:
            await dependency(Request(scope, receive))
        refused.append(str(error.value))
        await send({"type": "http.response.body", "body": b""})

    app.mount("/mounted", mounted)
    await call(app, "GET", "/mounted")

    assert "db.session()" in refused[0]
    assert begun == []


async def test_closing_it_again_is_harmless(app: HawkAPI, keep, begun: list[str]) -> None:
    session = await keep()
    begun.clear()

    await session.close()
    await session.close()
    async with session:
        pass
    assert begun == []


async def test_a_handler_may_close_it_and_nothing_is_stored(app: HawkAPI, stored) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="ada"))
        await session.flush()
        await session.close()
        assert app.state.db.checked_out == 0
        with pytest.raises(InvalidRequestError):
            await session.execute(text("SELECT 1"))
        return {}

    reply = await call(app, "POST", "/users")

    # Closed by the handler it cannot be committed, and that is no success.
    assert (reply.status == 201) is (await stored() == ["ada"])


class AuditedSession(AsyncSession):
    """An application's own session class."""

    def record(self) -> None:
        self.add(User(email="record"))


async def test_a_session_class_of_the_applications_own_is_sealed_too(new_app, stored) -> None:
    app = new_app(session_kwargs={"class_": AuditedSession})
    kept: list[AuditedSession] = []

    @app.post("/users")
    async def create(session: AuditedSession = Depends(get_session)) -> dict:
        session.record()
        kept.append(session)
        return {"is": type(session).__name__}

    reply = await call(app, "POST", "/users")

    assert reply.json() == {"is": "AuditedSession"}
    assert await stored() == ["record"]
    for use in (lambda: kept[0].record(), lambda: kept[0].add(User(email="late"))):
        with pytest.raises(SessionEndedError):
            use()
    assert isinstance(kept[0], AuditedSession)


async def test_objects_can_be_read_after_the_response(app: HawkAPI) -> None:
    """COMMIT does not expire them: a response may be built, a task may read, without SQL."""
    kept: list[User] = []

    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_session)) -> dict:
        user = User(email="ada")
        session.add(user)
        kept.append(user)
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert (kept[0].email, kept[0].id is not None) == ("ada", True)
