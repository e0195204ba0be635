"""What a request costs, in functions that run and objects that are made."""

from __future__ import annotations

import gc
import inspect
from collections import Counter
from collections.abc import Callable

import hawkapi
import pytest
from hawkapi import Depends, HawkAPI, HTTPException, Request
from hawkapi.middleware import Middleware
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import Message, call
from calls import recording, started_in
from hawkapi_sqlalchemy import core
from hawkapi_sqlalchemy.core import get_replica_session, get_session, session_for
from hawkapi_sqlalchemy.core.web import dependencies, exchange

pytestmark = pytest.mark.dialects("sqlite")

OURS = ["DatabaseMiddleware.__call__", "outer_gate", "OuterGate.send", "OuterGate.send"]
"""All that runs for a request without a database: one coroutine, no generator."""

GATE = ["CommitGate.__call__", "inner_gate", "Gate.send", "OuterGate.send"]

PATHS = ["/plain", "/sync", "/refused", "/broken", "/body", "/missing", "/livez"]


class Other(Middleware):
    """Somebody else's middleware."""

    async def __call__(self, scope, receive, send) -> None:
        await self.app(scope, receive, send)


def add_routes(app: HawkAPI) -> HawkAPI:
    @app.get("/plain")
    async def plain() -> dict:
        return {"plain": True}

    @app.get("/sync")
    def sync() -> dict:
        return {"sync": True}

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(403)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    @app.get("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    return app


@pytest.fixture
def alone() -> HawkAPI:
    """The same application without a database, and without the package."""
    return add_routes(HawkAPI())


async def calls(app: HawkAPI, path: str) -> tuple[list[str], list[str]]:
    """The functions of the package, and those of HawkAPI, that run for a request."""
    for _ in range(2):  # the first fills caches
        with recording() as codes:
            await call(app, "GET", path)
    return started_in(codes, core), started_in(codes, hawkapi)


@pytest.mark.parametrize("path", PATHS)
async def test_a_route_without_a_database_runs_four_functions_of_ours_and_hawkapi_its_own(
    app: HawkAPI, alone: HawkAPI, path: str
) -> None:
    add_routes(app)

    ours, hawkapis = await calls(app, path)

    received = ["Exchange.receive"] if path == "/body" else []
    assert Counter(ours) == Counter(OURS + received)
    assert Counter(hawkapis) == Counter((await calls(alone, path))[1]) + Counter(
        # The application has a plugin, which hears of exceptions.
        ["Plugin.on_exception"] if path == "/broken" else []
    )


@pytest.mark.parametrize("path", PATHS)
async def test_behind_other_middleware_it_runs_one_gate_more(app: HawkAPI, path: str) -> None:
    app.add_middleware(Other)
    add_routes(app)

    ours, _ = await calls(app, path)

    received = ["Exchange.receive"] if path == "/body" else []
    assert Counter(ours) == Counter(OURS + GATE + ["Gate.send"] + received) - Counter(
        ["OuterGate.send"]
    )


async def test_inside_a_mounted_application_it_runs_one_gate_more(app: HawkAPI) -> None:
    inner = add_routes(HawkAPI())
    app.mount("/inner", inner)
    app.add_middleware(Other)  # the pipeline is built anew, and finds what is mounted

    ours, _ = await calls(app, "/inner/plain")

    assert Counter(ours)["CommitGate.__call__"] == 2
    assert Counter(ours)["DatabaseMiddleware.__call__"] == 1


async def test_a_route_without_a_database_makes_one_object_of_ours(app: HawkAPI) -> None:
    found: list[Counter[str]] = []
    before: Counter[str] = Counter()

    def count() -> Counter[str]:
        return Counter(
            type(each).__name__
            for each in gc.get_objects()
            if str(type(each).__module__).startswith("hawkapi_sqlalchemy")
        )

    @app.get("/count")
    async def count_objects() -> None:
        found.append(count() - before)

    await call(app, "GET", "/count")  # makes the pipeline
    found.clear()
    before.update(count())
    await call(app, "GET", "/count")

    assert found == [Counter({"OuterGate": 1})]
    assert count() == before


FIRST = ["_work", "Exchange.begin", "RequestWork.__init__", "RequestWork.session"]
FURTHER = ["_work", "Exchange.begin", "RequestWork.session"]


async def resolve(app: HawkAPI, *asked: Callable[..., object]) -> tuple[list[str], list[str]]:
    """What runs of ours, and of HawkAPI, until a handler with these dependencies is reached."""

    async def handler(**sessions: AsyncSession) -> None: ...

    parameters = [
        inspect.Parameter(f"s{number}", inspect.Parameter.KEYWORD_ONLY, default=Depends(each))
        for number, each in enumerate(asked)
    ]
    handler.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    path = f"/{len(app.routes)}"
    app.get(path)(handler)
    for _ in range(2):
        with recording() as codes:
            await call(app, "GET", path)
    before = codes[: codes.index(handler.__code__)]
    assert not any(each.co_flags & inspect.CO_ASYNC_GENERATOR for each in codes)
    return (
        started_in(before, dependencies) + started_in(before, exchange),
        started_in(before, hawkapi),
    )


async def test_a_session_dependency_is_one_flat_generator_that_hawkapi_resolves_once(
    app: HawkAPI,
) -> None:
    for dependency, name in (
        (get_session, "get_session"),
        (get_replica_session, "get_replica_session"),
        (session_for("primary"), "SessionDependency.__call__"),
    ):
        ours, hawkapis = await resolve(app, dependency)

        assert Counter(ours) == Counter([name, *FIRST])
        assert Counter(hawkapis)["_execute_dep_plan"] == 1


async def test_a_second_dependency_on_the_same_session_looks_it_up(app: HawkAPI) -> None:
    ours, hawkapis = await resolve(app, get_session, get_session)

    assert Counter(ours) == Counter(["get_session", *FIRST, "get_session", *FURTHER])
    assert Counter(hawkapis)["_execute_dep_plan"] == 2


async def test_only_a_request_that_commits_is_looked_at_for_a_disconnect(app: HawkAPI) -> None:
    asked: list[str] = []

    async def receive() -> Message:
        asked.append("receive")
        return {"type": "http.disconnect"}

    @app.get("/reads")
    async def reads(session: AsyncSession = Depends(get_replica_session)) -> None: ...

    @app.get("/by-hand")
    async def by_hand(
        session: AsyncSession = Depends(session_for("primary", commit=False)),
    ) -> None: ...

    @app.get("/commits")
    async def commits(session: AsyncSession = Depends(get_session)) -> None: ...

    for path, times in (("/reads", 0), ("/by-hand", 0), ("/commits", 1)):
        await call(app, "GET", path, receive=receive)
        assert len(asked) == times
