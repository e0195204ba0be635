"""A request that has ended leaves nothing for the garbage collector."""

from __future__ import annotations

import gc

import pytest
from hawkapi import BackgroundTasks, Depends, HawkAPI, HTTPException, Request, Response
from hawkapi.middleware import Middleware
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import get_replica_session, get_session, session_for


class Other(Middleware):
    """Somebody else's middleware."""

    async def __call__(self, scope, receive, send) -> None:
        await self.app(scope, receive, send)


def add_plain_routes(app: HawkAPI) -> None:
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


def add_session_routes(app: HawkAPI) -> None:
    @app.get("/idle")
    async def idle(session: AsyncSession = Depends(get_session)) -> None: ...

    @app.get("/one")
    async def one(session: AsyncSession = Depends(get_session)) -> None:
        await session.execute(text("SELECT 1"))

    @app.get("/reads")
    async def reads(session: AsyncSession = Depends(get_replica_session)) -> None:
        await session.execute(text("SELECT 1"))

    @app.get("/several")
    async def several(
        one: AsyncSession = Depends(get_session),
        two: AsyncSession = Depends(get_session),
        three: AsyncSession = Depends(session_for("primary", commit=False)),
    ) -> None:
        await one.execute(text("SELECT 1"))

    @app.get("/by-hand")
    async def by_hand(request: Request) -> None:
        await (await get_session(request)).execute(text("SELECT 1"))

    @app.get("/raises")
    async def raises(session: AsyncSession = Depends(get_session)) -> None:
        await session.execute(text("SELECT 1"))
        raise RuntimeError

    @app.get("/redirects")
    async def redirects(session: AsyncSession = Depends(get_session)) -> None:
        await session.execute(text("SELECT 1"))
        raise HTTPException(303)

    @app.get("/refuses")
    async def refuses(session: AsyncSession = Depends(get_session)) -> Response:
        await session.execute(text("SELECT 1"))
        return Response(status_code=409)

    @app.get("/task")
    async def task(tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)) -> None:
        tasks.add_task(session.info.get, "task")


PLAIN = ["/plain", "/sync", "/refused", "/broken", "/body", "/missing", "/inner/plain"]
WITH_SESSION = [
    "/idle", "/one", "/reads", "/several", "/by-hand", "/raises", "/redirects", "/refuses",
    "/task", "/inner/idle", "/inner/one",
]  # fmt: skip


async def unreachable_after(app: HawkAPI, path: str, requests: int = 5) -> int:
    """What only the garbage collector finds after some requests; it is off in these tests."""
    for _ in range(3):  # caches, and a connection
        await call(app, "GET", path)
    gc.collect()
    for _ in range(requests):
        await call(app, "GET", path)
    return gc.collect()


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("behind", [(), (Other,)], ids=["alone", "behind-middleware"])
@pytest.mark.parametrize("path", PLAIN)
async def test_without_a_session(app: HawkAPI, path: str, behind: tuple) -> None:
    add_plain_routes(app)
    inner = HawkAPI()
    add_plain_routes(inner)
    app.mount("/inner", inner)
    for middleware in behind:
        app.add_middleware(middleware)

    assert await unreachable_after(app, path) == 0


@pytest.mark.parametrize("behind", [(), (Other,)], ids=["alone", "behind-middleware"])
@pytest.mark.parametrize("path", WITH_SESSION)
async def test_with_sessions(app: HawkAPI, path: str, behind: tuple) -> None:
    """A database error's own traceback is a circle, made by SQLAlchemy; there is none here."""
    add_session_routes(app)
    inner = HawkAPI()
    add_session_routes(inner)
    app.mount("/inner", inner)
    for middleware in behind:
        app.add_middleware(middleware)

    assert await unreachable_after(app, path) == 0
