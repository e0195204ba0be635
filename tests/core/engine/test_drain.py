"""Shutting down: what is in use is waited for, then every engine is disposed."""

from __future__ import annotations

import asyncio
import gc
import logging
from typing import Any

import pytest
from sqlalchemy import text

from hawkapi_sqlalchemy.core import Database, DatabaseConfig

MEMORY = "sqlite+aiosqlite://"


async def test_draining_waits_for_the_connections_in_use(counters: str, make_database: Any) -> None:
    database: Database = make_database(counters)
    go_on, begun = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        async with database.session() as session:
            await session.execute(text("UPDATE counters SET n = 1 WHERE id = 1"))
            begun.set()
            await go_on.wait()
            await session.execute(text("UPDATE counters SET n = n + 1 WHERE id = 1"))

    async with asyncio.timeout(20):
        worker = asyncio.create_task(work())
        await begun.wait()
        draining = asyncio.create_task(database.drain(15))
        done, _ = await asyncio.wait([draining], timeout=0.1)
        assert not done
        go_on.set()
        assert await draining is True
        await worker
    async with database.session(commit=False) as session:
        assert await session.scalar(text("SELECT n FROM counters WHERE id = 1")) == 2


async def test_draining_gives_up_at_its_deadline_and_says_what_is_left(
    counters: str, make_database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    database: Database = make_database(counters)
    async with asyncio.timeout(20), database.session() as session:
        await session.execute(text("UPDATE counters SET n = 1 WHERE id = 1"))
        with caplog.at_level(logging.WARNING, "hawkapi_sqlalchemy"):
            assert await database.drain(0.1) is False
    assert "1 connections still in use after 0.1 s" in caplog.text


async def test_what_was_in_use_at_the_end_may_finish_and_is_closed_when_it_comes_back(
    counters: str, make_database: Any, ask: Any
) -> None:
    database: Database = make_database(counters)
    engine = database.get()
    async with database.session() as session:
        await session.execute(text("UPDATE counters SET n = 1 WHERE id = 1"))
        await database.drain(0.05)
        assert len(engine._pools.main.open) == 1
        await session.execute(text("UPDATE counters SET n = n + 1 WHERE id = 1"))
    assert engine._pools.main.open == {}
    gc.collect()
    assert await ask("SELECT n FROM counters WHERE id = 1") == 2


async def test_draining_waits_for_other_work_too(make_database: Any) -> None:
    database: Database = make_database(MEMORY)
    asked = 0

    def busy() -> bool:
        nonlocal asked
        asked += 1
        return asked < 4

    assert await database.drain(10, busy=busy) is True
    assert asked == 4


async def test_an_idle_database_is_drained_at_once(make_database: Any) -> None:
    database: Database = make_database(MEMORY)
    async with database.session() as session:
        await session.execute(text("SELECT 1"))
    async with asyncio.timeout(2):
        assert await database.drain(60) is True


async def test_one_engine_that_cannot_be_disposed_does_not_stop_the_others(
    counters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database()
    for name in ("primary", "broken", "also broken", "last"):
        database.add(name, DatabaseConfig(counters))
        async with database.session(name, commit=False) as session:
            await session.execute(text("SELECT 1"))
    real = {name: engine.dispose for name, engine in database.engines.items()}

    def fail(name: str) -> Any:
        async def dispose() -> None:
            await real[name]()
            raise OSError(name)

        return dispose

    for name in ("broken", "also broken"):
        monkeypatch.setattr(database.engines[name], "dispose", fail(name))
    with pytest.raises(ExceptionGroup, match="could not be disposed") as caught:
        await database.dispose()
    assert [str(error) for error in caught.value.exceptions] == ["broken", "also broken"]
    assert [len(engine._pools.main.open) for engine in database.engines.values()] == [0, 0, 0, 0]


async def test_disposing_twice_does_no_harm_and_the_database_can_be_used_again(
    counters: str, make_database: Any
) -> None:
    database: Database = make_database(counters)
    for _ in range(2):
        async with database.session(commit=False) as session:
            await session.execute(text("SELECT 1"))
        await database.dispose()
        await database.dispose()
        assert database.get()._pools.main.open == {}


async def test_a_database_that_was_never_used_can_be_disposed() -> None:
    await Database().dispose()
    database = Database()
    database.add("primary", DatabaseConfig("postgresql+asyncpg://user@127.0.0.1:1/app"))
    await database.dispose()
