"""Measure what the package adds to a request, in process: `python tests/lib/web_cost.py`.

Each line compares HawkAPI alone with HawkAPI and `init_database`, in rounds that take turns, and
gives medians in microseconds a request. Sessions are asked for and not used, and none is really
made: SQLAlchemy's share is not in it. Numbers depend on the machine; only numbers of one run
compare.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

from hawkapi import Depends, HawkAPI, Request
from hawkapi.middleware import Middleware
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import get_replica_session, get_session, init_database
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.web.unit_of_work import UnitOfWork

CASES = {
    "no database": "/plain",
    "no database, sync handler": "/sync",
    "no database, body": "/body",
    "no database, mounted": "/mounted/plain",
    "one session": "/one",
    "two dependencies, one session": "/two",
    "one read-only session": "/read",
}


class Passes(Middleware):
    """Middleware that does nothing."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def add_routes(app: HawkAPI, session: Callable[..., Any], reading: Callable[..., Any]) -> None:
    @app.get("/plain")
    async def plain() -> dict[str, int]:
        return {"answer": 42}

    @app.get("/sync")
    def sync() -> dict[str, int]:
        return {"answer": 42}

    @app.get("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    @app.get("/one")
    async def one(one: AsyncSession = Depends(session)) -> dict[str, int]:
        return {"answer": 42}

    @app.get("/two")
    async def two(
        one: AsyncSession = Depends(session), two: AsyncSession = Depends(session)
    ) -> dict[str, int]:
        return {"answer": 42}

    @app.get("/read")
    async def read(one: AsyncSession = Depends(reading)) -> dict[str, int]:
        return {"answer": 42}

    del plain, sync, body, one, two, read


async def nothing(request: Request) -> None:
    """Stand for a session where there is no database."""


def make(*, database: bool, middleware: bool) -> HawkAPI:
    app, inner = HawkAPI(), HawkAPI()
    sessions = (get_session, get_replica_session) if database else (nothing, nothing)
    if database:
        init_database(app, url="sqlite+aiosqlite:///:memory:")
    if middleware:
        app.add_middleware(Passes)
    app.mount("/mounted", inner)
    for each in (app, inner):
        add_routes(each, *sessions)
    return app


async def microseconds(app: HawkAPI, path: str, calls: int) -> float:
    """Call an application, and answer what one call took."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "scheme": "http", "server": ("localhost", 80), "client": ("localhost", 1),
        "headers": [(b"host", b"localhost")], "state": {},
    }  # fmt: skip
    pending: list[dict[str, Any]] = []
    silence = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not pending:
            await silence.wait()
        return pending.pop()

    async def send(message: dict[str, Any]) -> None: ...

    start = time.perf_counter()
    for _ in range(calls):
        pending[:] = [{"type": "http.request", "body": b"", "more_body": False}]
        await app(dict(scope), receive, send)
    return (time.perf_counter() - start) / calls * 1e6


async def measure(rounds: int, calls: int) -> None:
    print(f"{'':48} {'alone':>8} {'with':>8} {'added':>8}")
    for middleware in (False, True):
        apps = [make(database=database, middleware=middleware) for database in (False, True)]
        for name, path in CASES.items():
            taken: list[list[float]] = [[], []]
            for number in range(rounds):
                for which in (0, 1) if number % 2 else (1, 0):
                    taken[which].append(await microseconds(apps[which], path, calls))
            added = statistics.median(b - a for a, b in zip(*taken, strict=True))
            alone, given = map(statistics.median, taken)
            label = f"{name}, behind middleware" if middleware else name
            print(f"{label:48} {alone:8.2f} {given:8.2f} {added:+8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=2000, help="in a round")
    arguments = parser.parse_args()

    session = object()

    def give(self: Engine, access: Access) -> object:
        return session

    async def end(self: UnitOfWork) -> None: ...

    with (
        mock.patch.object(Engine, "session", give),
        mock.patch.object(UnitOfWork, "commit", end),
        mock.patch.object(UnitOfWork, "rollback", end),
    ):
        asyncio.run(measure(arguments.rounds, arguments.calls))


if __name__ == "__main__":
    main()
