"""One Database in several event loops, one after the other, and what is forgotten."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from hawkapi import HawkAPI, testing
from sqlalchemy import text

from hawkapi_sqlalchemy.core import Database, DatabaseConfig, init_database

MEMORY = "sqlite+aiosqlite://"


_PREAMBLE = """
import asyncio, gc, os, sys
from sqlalchemy import text
from hawkapi_sqlalchemy.core import Database, DatabaseConfig

database = Database()
database.add("primary", DatabaseConfig(sys.argv[1]))

async def use(number=2):
    barrier = asyncio.Barrier(number)
    async def one():
        async with database.session(commit=False) as session:
            n = await session.scalar(text("SELECT count(*) FROM counters"))
            await barrier.wait()
            return n
    return await asyncio.gather(*(one() for _ in range(number)))
"""


async def test_a_database_serves_one_loop_after_the_other(counters: str, run_script: Any) -> None:
    script = """
for _ in range(3):
    print(asyncio.run(use()))
async def end():
    print(await use())
    await database.dispose()
asyncio.run(end())
gc.collect()
"""
    out = await asyncio.to_thread(run_script, _PREAMBLE + script, counters)
    assert out.splitlines() == ["[2, 2]"] * 4


async def test_a_database_is_disposed_in_another_loop_than_it_was_used_in(
    counters: str, run_script: Any
) -> None:
    script = """
asyncio.run(use())
asyncio.run(database.dispose())
print(asyncio.run(use()))
asyncio.run(database.dispose())
gc.collect()
"""
    assert await asyncio.to_thread(run_script, _PREAMBLE + script, counters) == "[2, 2]"


async def test_sessions_left_open_in_a_loop_that_is_gone_do_no_harm(
    counters: str, run_script: Any
) -> None:
    """A writing one too: the next loop's writers do not wait for it."""
    script = """
left = []
async def leave():
    session = database.open()
    await session.execute(text("UPDATE counters SET n = 100"))
    left.append(session)
asyncio.run(leave())

async def write():
    async with asyncio.timeout(20), database.session() as session:
        await session.execute(text("UPDATE counters SET n = n + 1"))
        print(await session.scalar(text("SELECT max(n) FROM counters")))
    await database.dispose()
asyncio.run(write())
# SQLAlchemy complains of the session itself, and rightly, when it is collected.
sys.stdout.flush()
os._exit(0)
"""
    assert await asyncio.to_thread(run_script, _PREAMBLE + script, counters) == "1"


@pytest.mark.parametrize("how", ["dropped", "at exit", "in a running loop"])
async def test_an_engine_that_is_forgotten_leaves_no_warning(
    how: str, counters: str, run_script: Any
) -> None:
    script = {
        "dropped": "asyncio.run(use())\ndel database\ngc.collect()\nprint('done')\n",
        "at exit": "asyncio.run(use())\nprint('done')\n",
        "in a running loop": """
async def main():
    global database
    await use()
    del database
    gc.collect()
    await asyncio.sleep(0.05)
    gc.collect()
    print('done')
asyncio.run(main())
""",
    }[how]
    assert await asyncio.to_thread(run_script, _PREAMBLE + script, counters) == "done"


async def test_a_database_in_memory_that_is_forgotten_leaves_no_warning(run_script: Any) -> None:
    script = (
        _PREAMBLE
        + """
async def main():
    async with database.session() as session:
        await session.execute(text("CREATE TABLE counters (n INTEGER)"))
    print(await use())
asyncio.run(main())
print(asyncio.run(use()))
del database
gc.collect()
other = Database()
other.add("primary", DatabaseConfig(sys.argv[1]))
del other
gc.collect()
"""
    )
    out = await asyncio.to_thread(run_script, script, MEMORY)
    assert out.splitlines() == ["[0, 0]"] * 2


def test_a_database_in_memory_outlives_the_loop_it_was_made_in() -> None:
    database = Database()
    database.add("primary", DatabaseConfig(MEMORY))

    async def write() -> None:
        async with database.session() as session:
            await session.execute(text("CREATE TABLE t (x INTEGER)"))

    async def read() -> int:
        async with database.session(commit=False) as session:
            return await session.scalar(text("SELECT count(*) FROM t")) or 0

    asyncio.run(write())
    assert asyncio.run(read()) == 0
    asyncio.run(database.dispose())


async def test_the_synchronous_test_client_can_be_used_twice(counters: str) -> None:
    """It runs a loop of its own, which it leaves open and standing."""

    def requests() -> list[int]:
        app = HawkAPI()
        database = init_database(app, url=counters)

        @app.get("/count")
        async def count(db: Database) -> dict[str, int]:
            async with db.session(commit=False) as session:
                return {"n": await session.scalar(text("SELECT count(*) FROM counters")) or 0}

        clients = [testing.TestClient(app) for _ in range(3)]
        answers = [client.get("/count").json()["n"] for client in clients]
        asyncio.run(database.dispose())
        for client in clients:
            assert client._loop is not None
            client._loop.close()
        return answers

    assert await asyncio.to_thread(requests) == [2, 2, 2]


async def test_a_second_running_loop_is_refused_and_the_first_goes_on(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters)
    async with database.session(commit=False) as session:
        await session.execute(text("SELECT 1"))

    async def elsewhere() -> None:
        async with database.session():
            pass

    def run() -> None:
        with pytest.raises(RuntimeError, match="'primary' is in use by another running event loop"):
            asyncio.run(elsewhere())

    await asyncio.to_thread(run)
    async with database.session(commit=False) as session:
        assert await session.scalar(text("SELECT 1")) == 1


def test_a_loop_that_has_ended_in_another_thread_may_be_left() -> None:
    database = Database()
    database.add("primary", DatabaseConfig(MEMORY))

    async def use() -> int:
        async with database.session(commit=False) as session:
            return await session.scalar(text("SELECT 1")) or 0

    thread = threading.Thread(target=lambda: asyncio.run(use()))
    thread.start()
    thread.join()
    assert asyncio.run(use()) == 1
    asyncio.run(database.dispose())
