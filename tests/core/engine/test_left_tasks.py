"""Tasks that are left behind in a loop that has stopped end, and nobody hears of it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest

from hawkapi_sqlalchemy.core.loops import background, leave_tasks, run_elsewhere


class Left:
    """What a task does: it waits for what never comes.

    Attributes:
        log: Where it has got.
    """

    def __init__(self) -> None:
        self.log: list[str] = []

    async def work(self) -> None:
        self.log.append("begun")
        try:
            await asyncio.Event().wait()
        finally:
            self.log.append("ended")


@pytest.fixture
def left() -> Left:
    return Left()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(autouse=True)
def nothing_is_said(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The collector finds nothing to complain of: its warnings are errors."""
    yield
    gc.collect()
    assert [each.getMessage() for each in caplog.records if each.name == "asyncio"] == []


def begun(loop: asyncio.AbstractEventLoop, left: Left) -> asyncio.Task[None]:
    """Run the loop until the task has begun."""

    async def begin() -> asyncio.Task[None]:
        task = background(left.work)
        await asyncio.sleep(0)
        return task

    return loop.run_until_complete(begin())


def unbegun(loop: asyncio.AbstractEventLoop, left: Left) -> asyncio.Task[None]:
    """Run the loop until the task is made."""
    made: list[asyncio.Task[None]] = []
    loop.call_soon(loop.stop)
    loop.call_soon(lambda: made.append(background(left.work)))
    loop.run_forever()
    return made[0]


def test_what_is_under_way_in_a_closed_loop_ends_when_it_is_left(
    loop: asyncio.AbstractEventLoop, left: Left
) -> None:
    task = begun(loop, left)
    loop.close()
    leave_tasks([task])
    assert left.log == ["begun", "ended"]


@pytest.mark.parametrize("closed", [True, False])
def test_what_has_not_begun_never_does(
    loop: asyncio.AbstractEventLoop, left: Left, closed: bool
) -> None:
    task = unbegun(loop, left)
    if closed:
        loop.close()
    leave_tasks([task])
    if not closed:
        loop.run_until_complete(asyncio.sleep(0))
        assert task.cancelled()
    assert left.log == []


def test_in_a_loop_that_runs_again_it_has_been_cancelled(
    loop: asyncio.AbstractEventLoop, left: Left
) -> None:
    task = begun(loop, left)
    leave_tasks([task])
    assert left.log == ["begun", "ended"]
    task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    assert task.cancelled()


@pytest.mark.parametrize("make", [begun, unbegun])
def test_what_everybody_has_forgotten_ends_when_others_begin(
    loop: asyncio.AbstractEventLoop,
    left: Left,
    make: Callable[[asyncio.AbstractEventLoop, Left], asyncio.Task[None]],
) -> None:
    make(loop, left)
    loop.close()
    gc.collect()

    async def other() -> None:
        await background(lambda: asyncio.sleep(0))

    asyncio.run(other())
    assert left.log in (["begun", "ended"], [])


def test_a_loop_that_is_run_in_another_thread_does_not_go_on_with_it(
    loop: asyncio.AbstractEventLoop, left: Left
) -> None:
    task = begun(loop, left)
    run_elsewhere(loop, asyncio.sleep(0))
    assert left.log == ["begun", "ended"]
    assert not loop.is_running()
    leave_tasks([task])


async def test_one_that_runs_elsewhere_is_cancelled_there(left: Left) -> None:
    tasks: list[asyncio.Task[None]] = []

    async def there() -> None:
        tasks.append(background(left.work))
        await asyncio.wait(tasks)

    running = asyncio.create_task(asyncio.to_thread(asyncio.run, there()))
    async with asyncio.timeout(10):
        while left.log != ["begun"]:  # noqa: ASYNC110  # another thread tells nobody
            await asyncio.sleep(0.001)
        leave_tasks(tasks)
        await running
    assert tasks[0].cancelled()
    assert left.log == ["begun", "ended"]
