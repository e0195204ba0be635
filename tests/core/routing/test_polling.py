"""Waiting for a replica: one poll serves all, and nobody waits for what will not come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asgi import until
from hawkapi_sqlalchemy.core.routing import polling
from hawkapi_sqlalchemy.core.routing.polling import Poller
from hawkapi_sqlalchemy.core.routing.positions import Position, WalPosition

LONG = 30.0
SHORT = 0.01


def at(lsn: int) -> WalPosition:
    return WalPosition(1, lsn)


class Server:
    """A replica that answers each poll when it is told to."""

    def __init__(self) -> None:
        self.polls = self.answered = 0
        self._answers: asyncio.Queue[Position | Exception | None] = asyncio.Queue()

    async def poll(self) -> Position | None:
        self.polls += 1
        answer = await self._answers.get()
        self.answered += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def answer(self, *answers: Position | Exception | None) -> None:
        for each in answers:
            self._answers.put_nowait(each)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def poller(server: Server) -> Poller:
    return Poller(server.poll, limit=3)


type Begin = Callable[..., asyncio.Task[bool]]


@pytest.fixture
async def begin(poller: Poller) -> Begin:
    """Begin to wait, and answer the task that does."""

    def start(lsn: int, timeout: float = LONG) -> asyncio.Task[bool]:
        return asyncio.create_task(poller.wait(at(lsn), timeout))

    return start


async def outcome(task: asyncio.Task[bool]) -> bool:
    async with asyncio.timeout(10):
        return await task


async def test_who_waits_is_served_by_the_poll_that_shows_its_position(begin, server):
    waiting = begin(7)
    server.answer(at(5), at(6), at(8))
    assert await outcome(waiting)
    assert server.polls == 3


async def test_one_poll_serves_all_and_each_at_its_position(begin, server, poller):
    near, far, farthest = begin(5), begin(7), begin(9)
    await until(lambda: len(poller) == 3)
    server.answer(at(5))
    assert await outcome(near)
    assert not far.done()
    server.answer(at(8))
    assert await outcome(far)
    assert not farthest.done()
    server.answer(at(9))
    assert await outcome(farthest)
    assert server.polls == 3
    assert len(poller) == 0


async def test_nobody_is_polled_for_when_nobody_waits(begin, server):
    waiting = begin(1)
    server.answer(at(1), at(1), at(1))
    assert await outcome(waiting)
    await until(lambda: len(asyncio.all_tasks()) == 1)
    assert server.polls == 1


async def test_a_poll_without_an_answer_ends_all_waiting(begin, server, poller):
    both = begin(5), begin(7)
    await until(lambda: len(poller) == 2)
    server.answer(None)
    assert [await outcome(each) for each in both] == [False, False]


async def test_after_that_the_next_one_is_polled_for_again(begin, server):
    first = begin(5)
    server.answer(None)
    assert not await outcome(first)
    second = begin(5)
    server.answer(at(5))
    assert await outcome(second)


async def test_waiting_ends_with_its_time_even_if_the_poll_hangs(begin, server):
    assert not await outcome(begin(5, SHORT))
    assert server.polls == 1


async def test_those_beyond_the_limit_do_not_wait(begin, server, poller):
    waiting = [begin(5) for _ in range(3)]
    await until(lambda: len(poller) == 3)
    assert not await outcome(begin(5))
    server.answer(at(5))
    assert [await outcome(each) for each in waiting] == [True] * 3


async def test_a_place_is_free_again_when_one_who_waited_is_cancelled(begin, server, poller):
    waiting = [begin(5) for _ in range(3)]
    await until(lambda: len(poller) == 3)
    waiting[0].cancel()
    await until(waiting[0].done)
    waiting.append(begin(5))
    await until(lambda: len(poller) == 3)
    server.answer(at(5))
    assert [await outcome(each) for each in waiting[1:]] == [True] * 3


async def test_one_that_stands_still_is_waited_for_in_vain_only_once(begin, server, poller):
    first = begin(9, SHORT)
    server.answer(at(5))
    assert not await outcome(first)
    second = begin(9)
    server.answer(at(5), at(5), at(5))
    assert not await outcome(second)


async def test_one_that_moves_again_is_waited_for_again(begin, server):
    first = begin(9, SHORT)
    server.answer(at(5))
    assert not await outcome(first)
    second = begin(9)
    # One poll of the first may still be to be answered.
    server.answer(at(6), at(6), at(6), at(9))
    assert await outcome(second)


async def test_a_poll_that_took_too_long_does_not_say_that_it_stands_still(begin, server):
    earlier = begin(5)
    server.answer(at(5))
    assert await outcome(earlier)
    await until(lambda: len(asyncio.all_tasks()) == 1)
    # The first poll after a while connects anew, and is still under way when the time is over.
    assert not await outcome(begin(6, SHORT))
    following = begin(6)
    server.answer(at(5), at(6))
    assert await outcome(following)


async def test_waiters_get_their_answer_even_if_polling_breaks(server, poller, begin):
    loop = asyncio.get_running_loop()
    told: list[dict] = []
    loop.set_exception_handler(lambda _, context: told.append(context))
    waiting = begin(5)
    server.answer(RuntimeError("a bug"))
    assert not await outcome(waiting)


def test_another_loop_begins_anew(server):
    poller = Poller(server.poll, limit=1)

    async def leave_in_the_middle() -> None:
        task = asyncio.create_task(poller.wait(at(5), LONG))
        await until(lambda: len(poller) == 1)
        del task

    async def wait_there() -> bool:
        fresh = Server()
        poller._poll = fresh.poll
        fresh.answer(at(5))
        return await asyncio.wait_for(poller.wait(at(5), LONG), 10)

    asyncio.run(leave_in_the_middle())
    poller.leave()
    assert asyncio.run(wait_there())


async def test_who_comes_during_a_pause_is_asked_for_at_once(
    begin, server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(polling, "_PAUSES", (LONG,))
    far = begin(9)
    server.answer(at(5))
    await until(lambda: server.answered == 1)
    near = begin(7)
    server.answer(at(8))
    assert await outcome(near)
    far.cancel()
    await asyncio.wait({far})
