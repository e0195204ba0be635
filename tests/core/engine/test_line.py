"""The line in which waiting is done: across threads, and across event loops."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asgi import DEADLINE, until
from hawkapi_sqlalchemy.core.line import Line


async def test_what_comes_from_another_thread_is_handed_over_in_the_loop_of_who_waits() -> None:
    """In debug mode a loop refuses to be touched from elsewhere."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    line: Line[str] = Line()
    returned: list[str] = []
    tasks = [asyncio.ensure_future(line.wait(DEADLINE * 2, returned.append)) for _ in range(2)]
    await until(lambda: len(line) == 2)
    served: list[bool] = []
    for item in ("one", "two"):
        thread = threading.Thread(target=lambda item=item: served.append(line.serve(item)))
        thread.start()
        thread.join()
    assert served == [True, True]
    assert not any(each.done() for each in tasks)
    tasks[1].cancel()
    async with asyncio.timeout(DEADLINE):
        assert await tasks[0] == "one"
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        await until(lambda: returned == ["two"])
    assert not line.serve("three")


def test_one_who_waited_in_a_loop_that_is_closed_is_passed_over() -> None:
    line: Line[str] = Line()
    first = asyncio.new_event_loop()
    turn = first.create_task(line.wait(DEADLINE, lambda _: None))
    first.run_until_complete(asyncio.sleep(0))
    assert len(line) == 1
    waiting = line._waiting[0]
    turn.cancel()
    first.run_until_complete(asyncio.wait([turn]))
    first.close()
    fresh = first.create_future()
    line._waiting.clear()
    line._waiting.append((fresh, waiting[1]))
    assert not line.serve("nobody")
    fresh.cancel()


async def test_who_is_closed_while_waiting_leaves_the_line() -> None:
    """Python closes a coroutine that nobody awaits any more, without cancelling it."""
    line: Line[str] = Line()
    waiting = line.wait(DEADLINE, lambda _: None)
    waiting.send(None)
    assert len(line) == 1
    waiting.close()
    assert len(line) == 0
    assert not line.serve("nobody")
