"""Statements that wait for other transactions."""

import asyncio
from collections.abc import Sequence

import pytest

from hawkapi_sqlalchemy.pytest.isolation.statements import Kind, Statement
from hawkapi_sqlalchemy.pytest.isolation.turns import Call, Turns
from hawkapi_sqlalchemy.pytest.isolation.units import Unit

OFTEN = 100
"""Looks after which one who waits is taken to be spinning: he would never yield to the loop."""


def call() -> Call:
    return Call(
        owner="app",
        statement=Statement(Kind.WRITE),
        execute=lambda _: None,
        read_only=False,
        inside=(),
        unit=None,
        alone=False,
    )


async def test_of_two_that_wait_one_is_cancelled_and_the_other_waits_on():
    turns = Turns()
    both_wait = asyncio.Event()
    open_units = [Unit("other", test=1, of_test=False, name="u1", began=1)]
    looks = 0

    def blockers() -> Sequence[Unit]:
        nonlocal looks
        looks += 1
        assert looks < OFTEN
        if looks == len(waiting):
            both_wait.set()
        return open_units

    first, second = call(), call()
    waiting = [asyncio.create_task(turns.take(each, blockers)) for each in (first, second)]
    await both_wait.wait()
    turns.give_up(first)
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert not waiting[1].done()
    open_units.clear()
    turns.move()
    async with asyncio.timeout(10):
        await waiting[1]
    assert turns.lock.locked()
