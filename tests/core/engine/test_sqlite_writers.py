"""SQLite writers queue: none is lost, none meets "database is locked", none waits in vain."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import greenlet_spawn

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.dialects import aiosqlite_connection, turnstile
from hawkapi_sqlalchemy.core.ending import end_session
from hawkapi_sqlalchemy.core.faults import Fault, fault_of, is_retryable

pytestmark = [pytest.mark.dialects("sqlite")]

COUNT = "SELECT n FROM counters WHERE id = 1"


async def test_sixty_four_writers_at_once_lose_nothing(
    counters: str, add: Any, ask: Any, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=64)

    async def write() -> None:
        async with database.session() as session:
            await add(session)

    await asyncio.gather(*(write() for _ in range(64)))
    assert await ask(COUNT) == 64


_WRITER = """
import asyncio, sys
from sqlalchemy import text
from hawkapi_sqlalchemy.core import Database, DatabaseConfig

async def main(url):
    database = Database()
    database.add("primary", DatabaseConfig(url))

    async def write():
        async with database.session() as session:
            n = await session.scalar(text("SELECT n FROM counters WHERE id = 1"))
            await asyncio.sleep(0)
            await session.execute(text("UPDATE counters SET n = :n WHERE id = 1"), {"n": n + 1})

    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(write() for _ in range(20)))
    await database.dispose()

asyncio.run(main(sys.argv[1]))
"""


async def test_writers_of_three_processes_lose_nothing(counters: str, ask: Any) -> None:
    def run() -> list[tuple[int, str]]:
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", _WRITER, counters],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        errors = [process.communicate(timeout=60)[1] for process in processes]
        return [(each.returncode, error) for each, error in zip(processes, errors, strict=True)]

    assert await asyncio.to_thread(run) == [(0, "")] * 3
    assert await ask(COUNT) == 60


async def test_a_writing_session_has_the_lock_from_its_beginning(
    counters: str, make_database: Any
) -> None:
    """A transaction that read first could not write once another had written in between."""
    database: Database = make_database(counters)
    other: Database = make_database(counters, lock_timeout=0.1)
    async with database.session() as session:
        await session.execute(text(COUNT))
        with pytest.raises(OperationalError, match="locked") as caught:
            async with other.session() as blocked:
                await blocked.execute(text(COUNT))
        assert is_retryable(caught.value)


@pytest.mark.parametrize("snapshot", [False, True], ids=["commit=False", "snapshot"])
async def test_a_reader_takes_no_write_lock_and_keeps_its_view(
    snapshot: bool, counters: str, add: Any, ask: Any, make_database: Any
) -> None:
    """A writer begins and commits while a read transaction is open."""
    database: Database = make_database(counters)
    session = database.session(commit=False, snapshot=snapshot)
    async with asyncio.timeout(20), session as reader:
        assert await reader.scalar(text(COUNT)) == 0
        async with database.session() as writer:
            await add(writer)
        assert await ask(COUNT) == 1
        assert await reader.scalar(text(COUNT)) == 0


async def test_writers_pass_in_the_order_in_which_they_came(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters, pool_size=20)
    order: list[int] = []
    first_is_in, go_on = asyncio.Event(), asyncio.Event()

    async def write(number: int) -> None:
        async with database.session() as session:
            await session.execute(text(COUNT))
            order.append(number)
            if number == 0:
                first_is_in.set()
                await go_on.wait()

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(write(0))
        await first_is_in.wait()
        for number in range(1, 12):
            tasks.create_task(write(number))
            await until(lambda number=number: waiting(database) == number)
        go_on.set()
    assert order == list(range(12))


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.001)


def waiting(database: Database) -> int:
    """Tell how many writers wait for their turn."""
    policy: Any = database.get()._policy
    return len(policy._turnstile._line)


async def begin(database: Database, begun: asyncio.Event) -> None:
    async with database.session() as session:
        await session.execute(text("UPDATE counters SET n = n + 100"))
        begun.set()
        await asyncio.Event().wait()


async def test_a_cancelled_holder_lets_the_next_one_pass_at_once(
    counters: str, add: Any, ask: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)
    begun = asyncio.Event()
    holder = asyncio.create_task(begin(database, begun))
    await begun.wait()
    holder.cancel()
    async with asyncio.timeout(5):
        async with database.session() as session:
            await add(session)
        with pytest.raises(asyncio.CancelledError):
            await holder
    assert await ask(COUNT) == 1
    assert database.checked_out == 0


async def test_a_cancelled_waiter_leaves_the_queue_to_the_others(
    counters: str, add: Any, ask: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)

    async def write() -> None:
        async with database.session() as session:
            await add(session)

    async with asyncio.timeout(20):
        async with database.session() as holder:
            await add(holder)
            waiters = []
            for number in range(1, 4):
                waiters.append(asyncio.create_task(write()))
                await until(lambda number=number: waiting(database) == number)
            waiters[0].cancel()
            waiters[1].cancel()
            await until(lambda: waiters[0].done() and waiters[1].done())
            assert not waiters[2].done()
        await waiters[2]
    assert waiters[0].cancelled()
    assert waiters[1].cancelled()
    assert await ask(COUNT) == 2
    assert database.checked_out == 0


async def test_a_waiter_cancelled_in_the_moment_of_its_turn_does_not_keep_it(
    counters: str, add: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)

    async def write() -> None:
        async with database.session() as session:
            await add(session)

    async with asyncio.timeout(20):
        for steps in range(12):
            async with database.session() as holder:
                await add(holder)
                waiter = asyncio.create_task(write())
                await until(lambda: waiting(database) == 1)
            for _ in range(steps):
                await asyncio.sleep(0)
            waiter.cancel()
            await asyncio.wait([waiter])
            await write()
    assert database.checked_out == 0


async def test_a_turn_that_does_not_come_in_time_is_an_error_that_may_be_retried(
    counters: str, add: Any, make_database: Any
) -> None:
    database: Database = make_database(counters, lock_timeout=0.1)
    async with database.session() as holder:
        await add(holder)
        with pytest.raises(OperationalError, match=r"more than 0\.1 s") as caught:
            async with database.session() as session:
                await add(session)
    assert fault_of(caught.value) is Fault.LOCK_TIMEOUT
    assert is_retryable(caught.value)
    assert database.checked_out == 0
    async with database.session() as session:
        await add(session)


async def test_whoever_comes_between_two_writers_waits_no_longer_than_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The turn is free for a moment, but another one's; once nobody waits it is had at once."""
    turns = turnstile.WriteTurnstile(0.05)
    first: dict[Any, Any] = {}
    second: dict[Any, Any] = {}
    third: dict[Any, Any] = {}
    await greenlet_spawn(turns.enter, first)
    entering = asyncio.create_task(greenlet_spawn(turns.enter, second))
    await until(lambda: len(turns._line) == 1)
    turns.leave(first)
    async with asyncio.timeout(10):
        with pytest.raises(OperationalError, match="locked"):
            await greenlet_spawn(turns.enter, third)
        await entering
    turns.leave(second)
    monkeypatch.setattr(turns._line, "wait", None)
    await greenlet_spawn(turns.enter, third)
    turns.leave(third)


async def test_a_writer_that_another_process_keeps_waiting_gives_its_turn_back(
    counters: str, add: Any, make_database: Any
) -> None:
    """BEGIN IMMEDIATE fails behind the turnstile; whoever comes next still gets a turn."""
    stranger: Database = make_database(counters)
    database: Database = make_database(counters, lock_timeout=0.1)
    async with stranger.session() as holder:
        await add(holder)
        for _ in range(2):
            with pytest.raises(OperationalError, match="locked") as caught:
                async with database.session() as session:
                    await add(session)
            assert "this process" not in str(caught.value)
    async with database.session() as session:
        await add(session)


async def test_a_connection_invalidated_in_its_turn_gives_it_back(
    counters: str, add: Any, ask: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)
    async with asyncio.timeout(10):
        session = database.open()
        await add(session, 1, 100)
        await session.invalidate()
        async with database.session() as next_one:
            await add(next_one)
    assert await ask(COUNT) == 1
    assert database.checked_out == 0


async def test_a_connection_detached_in_its_turn_gives_it_back_when_it_is_closed(
    counters: str, add: Any, make_database: Any
) -> None:
    database: Database = make_database(counters, engine_kwargs={"pool_reset_on_return": None})
    async with asyncio.timeout(10):
        for _ in range(2):
            session = database.open()
            await add(session)
            await session.rollback()
            await session.close()


async def test_a_session_commits_and_goes_on_without_locking_itself_out(
    counters: str, add: Any, ask: Any, make_database: Any
) -> None:
    database: Database = make_database(counters)
    async with asyncio.timeout(10), database.session() as session:
        await add(session)
        await session.commit()
        async with database.session() as other:
            await add(other)
        await add(session)
        async with session.begin_nested():
            await add(session)
    assert await ask(COUNT) == 4


async def test_files_do_not_wait_for_one_another(
    counters: str, add: Any, tmp_path: Path, make_database: Any
) -> None:
    database: Database = make_database(counters)
    other: Database = make_database(f"sqlite+aiosqlite:///{tmp_path / 'more.db'}")
    async with asyncio.timeout(10), database.session() as session:
        await add(session)
        async with other.session() as elsewhere:
            await elsewhere.execute(text("CREATE TABLE t (x INTEGER)"))


async def test_a_cancelled_wait_for_another_process_does_not_block_its_task_for_long(
    counters: str, add: Any, make_database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's thread goes on waiting for the lock; the task and the turn do not."""
    monkeypatch.setattr(aiosqlite_connection, "_CLOSE_TIMEOUT", 0.1)
    stranger: Database = make_database(counters)
    database: Database = make_database(counters)
    policy: Any = database.get()._policy
    async with asyncio.timeout(10), stranger.session() as holder:
        await add(holder)
        waiter = asyncio.create_task(begin(database, asyncio.Event()))
        await until(lambda: policy._turnstile._holder is not None)
        [left] = database.get()._pools.main.open.values()
        waiter.cancel()
        await asyncio.wait([waiter])
        assert waiter.cancelled()
        assert policy._turnstile._holder is None
    assert database.checked_out == 0
    async with asyncio.timeout(10):
        async with database.session() as session:
            await add(session)
        await asyncio.wrap_future(left._ended)


async def test_a_cancelled_statement_keeps_no_lock_while_its_traceback_lives(
    counters: str, add: Any, ask: Any, make_database: Any
) -> None:
    """SQLite keeps a closed connection's transaction as long as a statement of it exists."""
    database: Database = make_database(counters, lock_timeout=2)
    kept: list[BaseException] = []
    for steps in range(1, 40):
        session = database.open()
        task = asyncio.create_task(add(session))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            kept.append(error)
        await end_session(session)
        async with database.session() as other:
            await other.execute(text("UPDATE counters SET n = 0"))
    assert kept
    assert await ask(COUNT) == 0


async def test_a_cancelled_long_statement_is_interrupted(counters: str, make_database: Any) -> None:
    database: Database = make_database(counters)
    endless = text(
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    )
    async with asyncio.timeout(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), database.session() as session:
                await session.execute(endless)
        async with database.session() as session:
            await session.execute(text(COUNT))
    assert database.checked_out == 0


async def test_waiting_writers_keep_no_connection_from_readers(
    counters: str, add: Any, make_database: Any
) -> None:
    """A slow writer holds up those who write, and nobody else."""
    database: Database = make_database(counters, pool_size=1, max_overflow=1, pool_timeout=5)

    async def write() -> None:
        async with database.session() as session:
            await add(session)

    async with asyncio.timeout(20):
        async with database.session() as slow:
            await add(slow)
            writers = [asyncio.create_task(write()) for _ in range(5)]
            await until(lambda: waiting(database) == 5)
            assert database.checked_out == 1
            async with database.session(commit=False) as reader:
                assert await reader.scalar(text(COUNT)) == 0
        await asyncio.gather(*writers)
    async with database.session(commit=False) as reader:
        assert await reader.scalar(text(COUNT)) == 6
