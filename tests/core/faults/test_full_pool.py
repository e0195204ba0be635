"""A full pool lends its full size again after connections failed, or requests were cancelled."""

from __future__ import annotations

import asyncio
import random

import pytest

from asgi import DEADLINE, Reply, until
from service import READERS, WRITERS, Service
from tcp_proxy import Proxy

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

POOL = 3
PATIENT = {"pool_timeout": 100.0}
"""Whoever waits out this limit fails the test."""


@pytest.mark.parametrize("kind", ["session", "replica"])
async def test_a_connection_that_cannot_be_opened_gives_its_place_to_the_next_who_waits(
    kind: str, proxied_url: str, proxy: Proxy, new_service
) -> None:
    service: Service = new_service(proxied_url, **PATIENT)
    proxy.refuse = lambda: proxy.refused < 4

    async with asyncio.timeout(DEADLINE):
        replies = await asyncio.gather(*(service.read(kind)() for _ in range(8)))

    assert sorted(each.status for each in replies) == [200] * 4 + [503] * 4
    assert proxy.refused == 4
    assert len(proxy.wires) == 1
    assert service.database.checked_out == 0


@pytest.mark.parametrize("kind", ["session", "replica"])
async def test_a_connection_that_cannot_be_replaced_gives_its_place_to_the_next_who_waits(
    kind: str, proxied_url: str, proxy: Proxy, new_service
) -> None:
    """All lie idle and are dead; the first to come find that out, the others wait behind them."""
    service: Service = new_service(proxied_url, pool_size=2, **PATIENT)
    await service.fill(2, kind)
    for wire in proxy.open_wires:
        wire.close()
    proxy.refuse = lambda: proxy.refused < 3

    async with asyncio.timeout(DEADLINE):
        replies = await asyncio.gather(*(service.read(kind)() for _ in range(8)))
        after = await service.at_once(*[service.read(kind)] * 2)

    failed = [each.status for each in replies].count(503)
    assert 1 <= failed <= 3
    assert [each.status for each in replies].count(200) == 8 - failed
    assert [each.status for each in after] == [200, 200]


@pytest.mark.parametrize("kind", ["session", "replica"])
async def test_requests_cancelled_at_any_moment_leave_the_pool_its_full_size(
    kind: str, url: str, new_service
) -> None:
    """Twice as many as there are places, some waiting, some being served, some cancelled."""
    service: Service = new_service(url, pool_size=POOL, **PATIENT)
    choose = random.Random(4711)
    async with asyncio.timeout(3 * DEADLINE):
        for _ in range(30):
            tasks = [asyncio.create_task(service.read(kind)()) for _ in range(2 * POOL)]
            for task in choose.sample(tasks, POOL):
                for _ in range(choose.randrange(12)):
                    await asyncio.sleep(0)
                task.cancel()
            await asyncio.wait(tasks)
            assert all(each.cancelled() or each.result().status == 200 for each in tasks)
            await until(lambda: service.database.checked_out == 0)
        replies = await service.at_once(*[service.read(kind)] * POOL)
    assert [each.status for each in replies] == [200] * POOL
    assert service.engine(kind).pool.checkedin() == POOL


@pytest.mark.parametrize("kind", ["session", "replica"])
async def test_a_waiter_cancelled_in_the_moment_it_is_served_passes_its_place_on(
    kind: str, url: str, new_service
) -> None:
    service: Service = new_service(url, **PATIENT)
    await service.fill(1, kind)
    async with asyncio.timeout(3 * DEADLINE):
        for steps in range(40):
            served = asyncio.create_task(service.read(kind)())
            cancelled = asyncio.create_task(service.read(kind)())
            last = asyncio.create_task(service.read(kind)())
            # From the first's answer on, walk through what the second does with its turn.
            await asyncio.wait([served]) if steps % 2 else None
            for _ in range(steps // 2):
                await asyncio.sleep(0)
            cancelled.cancel()
            await asyncio.wait([served, cancelled, last])
            assert served.result().status == last.result().status == 200
    await until(lambda: service.database.checked_out == 0)


@pytest.mark.parametrize("fresh", [True, False], ids=["opening", "pooled"])
@pytest.mark.parametrize("kind", READERS)
async def test_a_reading_request_cancelled_at_any_step_gives_its_connection_back(
    fresh: bool, kind: str, url: str, new_service
) -> None:
    """Its only connection, which the next request needs."""
    service: Service = new_service(url, **PATIENT)
    await service.fill(1, kind)
    for steps in range(0, 41, 2 if fresh else 1):
        if fresh:
            await service.database.dispose()
        await cancel_after(steps, asyncio.create_task(service.read(kind)()))
        assert (await service.read(kind)()).status == 200
        assert service.database.checked_out == 0
    assert service.engine(kind).pool.checkedin() == 1


@pytest.mark.parametrize("kind", WRITERS)
async def test_a_writing_request_cancelled_at_any_step_is_stored_once_or_not_at_all(
    kind: str, url: str, new_service, tags
) -> None:
    service: Service = new_service(url, **PATIENT)
    await service.fill(1, kind)
    answered: set[str] = set()
    for steps in range(41):
        reply = await cancel_after(steps, asyncio.create_task(service.insert(f"{steps}", kind)()))
        if reply is not None:
            assert reply.status == 201
            answered.add(f"{steps}")
        assert (await service.insert(f"after-{steps}", kind)()).status == 201
        assert service.database.checked_out == 0
    stored = await tags(url)
    assert len(stored) == len(set(stored))
    assert answered | {f"after-{steps}" for steps in range(41)} <= set(stored)


async def cancel_after(steps: int, task: asyncio.Task[Reply]) -> Reply | None:
    """Cancel a request after some rounds of the event loop; answer its reply if it had one."""
    async with asyncio.timeout(DEADLINE):
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    return None if task.cancelled() else task.result()
