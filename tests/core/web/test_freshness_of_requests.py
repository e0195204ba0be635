"""Each request has a Freshness of its own, where the application asks for it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections import Counter

import pytest
from hawkapi.middleware import Middleware

from asgi import call
from calls import recording, started_in
from client_tokens import (
    HEADER,
    SECRET,
    cookie,
    described,
    marks,
    note,
    pairs,
    seen,
    token,
    written,
)
from hawkapi_sqlalchemy import core
from hawkapi_sqlalchemy.core import (
    ReadYourWrites,
)
from hawkapi_sqlalchemy.core.routing.freshness import Freshness, current_freshness
from hawkapi_sqlalchemy.core.routing.positions import WalPosition

pytestmark = pytest.mark.dialects("sqlite")


async def test_requests_at_the_same_time_do_not_see_each_others(following) -> None:
    app, together = following(), asyncio.Barrier(10)

    @app.post("/meet")
    async def meet(lsn: int) -> dict:
        await together.wait()
        note(WalPosition(1, lsn))
        await together.wait()
        return {"required": described()}

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(call(app, "POST", "/meet", query=f"lsn={lsn}")) for lsn in range(10)
        ]
    for lsn, task in enumerate(tasks):
        reply = task.result()
        assert reply.json() == {"required": str(WalPosition(1, lsn))}
        assert await seen(app, (HEADER, token(reply))) == str(WalPosition(1, lsn))


async def test_child_tasks_of_a_request_note_into_its_own(following) -> None:
    app = following()

    @app.post("/children")
    async def children() -> dict:
        async def child(lsn: int) -> None:
            await asyncio.sleep(0)
            note(WalPosition(1, lsn))

        async with asyncio.TaskGroup() as group:
            for lsn in range(4):
                group.create_task(child(lsn))
        await asyncio.to_thread(note, WalPosition(1, 1), "of a thread")
        return {"required": described()}

    reply = await call(app, "POST", "/children")

    assert reply.json() == {"required": str(WalPosition(1, 3))}
    assert marks(reply) == {"primary": WalPosition(1, 3), "of a thread": WalPosition(1, 1)}


async def test_a_task_that_outlives_its_request_keeps_what_that_has_written(following) -> None:
    app, ended = following(), asyncio.Event()
    tasks: list[asyncio.Task[str | None]] = []

    async def child() -> str | None:
        await ended.wait()
        return described()

    @app.post("/spawns")
    async def spawns() -> dict:
        tasks.append(asyncio.create_task(child()))
        note(WalPosition(1, 5))
        return {}

    await call(app, "POST", "/spawns")
    ended.set()
    assert await tasks[0] == str(WalPosition(1, 5))


@pytest.mark.parametrize("path", ["/untouched", "/fails", "/missing"])
async def test_it_is_gone_once_the_request_has_ended(following, path: str) -> None:
    app = following()

    class Fails(Middleware):
        async def __call__(self, scope, receive, send) -> None:
            assert current_freshness.get() is not None
            if scope["path"] == "/fails":
                raise RuntimeError("of the middleware")
            await self.app(scope, receive, send)

    app.add_middleware(Fails)
    try:
        await call(app, "GET", path)
    except RuntimeError:
        assert path == "/fails"
    assert current_freshness.get() is None


async def test_a_cancelled_request_takes_it_along(following) -> None:
    app, reached = following(), asyncio.Event()

    @app.get("/waits")
    async def waits() -> None:
        reached.set()
        await asyncio.Event().wait()

    async def request() -> Freshness | None:
        try:
            await call(app, "GET", "/waits")
        except asyncio.CancelledError:
            return current_freshness.get()
        raise AssertionError

    task = asyncio.create_task(request())
    await reached.wait()
    task.cancel()
    assert await task is None


async def test_a_request_that_is_never_finished_is_closed_without_a_word(following) -> None:
    """As the garbage collector closes it, in a context that is not its own."""
    app = following()

    @app.get("/waits")
    async def waits() -> None:
        await asyncio.Event().wait()

    request = call(app, "GET", "/waits")
    started = asyncio.Event()

    def begin() -> None:
        request.send(None)
        started.set()

    asyncio.get_running_loop().call_soon(begin)
    await started.wait()
    request.close()
    assert current_freshness.get() is None


async def test_a_request_leaves_nothing_for_the_garbage_collector(following) -> None:
    app = following()

    @app.post("/watched")
    async def watched(lsn: int) -> dict:
        note(WalPosition(1, lsn))
        assert described() == str(WalPosition(1, lsn))
        return {}

    first = await written(app)
    sent = [(HEADER.encode(), token(first).encode())]
    del first
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await call(app, "POST", "/watched", query="lsn=5", headers=sent)
        gc.collect()
        ours = [each for each in gc.garbage if type(each).__module__.startswith("hawkapi_sql")]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert ours == []


async def test_without_the_setting_there_is_no_freshness_and_no_token(new_app) -> None:
    found: list[Freshness | None] = []
    app = new_app()

    @app.get("/look")
    async def look() -> dict:
        found.append(current_freshness.get())
        return {}

    assert pairs(await call(app, "GET", "/look"), HEADER) == []
    assert found == [None]


def test_an_application_without_the_setting_does_not_load_the_signing_library() -> None:
    code = (
        "import sys; from hawkapi import HawkAPI; from hawkapi_sqlalchemy.core import *;"
        "init_database(HawkAPI(), url='sqlite+aiosqlite://');"
        "assert 'itsdangerous' not in sys.modules;"
        f"given = ReadYourWrites(secret={SECRET!r});"
        "init_database(HawkAPI(), url='sqlite+aiosqlite://', read_your_writes=given);"
        "assert 'itsdangerous' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


async def test_a_second_init_database_takes_the_new_setting(following, new_app) -> None:
    app = following()
    reply = await written(app)

    new_app(on=app, options={"read_your_writes": ReadYourWrites(secret="n" * 32, header="X-Seen")})
    assert pairs(await written(app), HEADER) == []
    assert len(pairs(await written(app), "x-seen")) == 1
    assert await seen(app, ("x-seen", token(reply))) is None

    new_app(on=app)
    assert (await call(app, "GET", "/untouched")).status == 200
    assert (await call(app, "GET", "/required")).status == 500


async def test_with_it_a_request_that_does_not_touch_the_database_runs_few_functions_more(
    following,
) -> None:
    """No token is read for it, and none is written."""
    app = following()
    sent = [(b"cookie", cookie(await written(app)).encode())]
    for _ in range(2):
        with recording() as codes:
            await call(app, "GET", "/untouched", headers=sent)

    ours = Counter(started_in(codes, core))
    assert ours == {
        "DatabaseMiddleware.__call__": 1,
        "TokenGate.__init__": 1,
        "Freshness.__init__": 1,
        "outer_gate": 1,
        "OuterGate.send": 2,
        "TokenGate.send": 2,
        "Freshness.noted": 1,
        "TokenGate.leave": 1,
        "Freshness.close": 1,
    }
