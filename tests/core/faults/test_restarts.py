"""A server that restarts between two requests is noticed by nobody, also inside the ping window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asgi import Reply
from dbservers.server import DatabaseServer
from service import READERS, WRITERS, Service

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

POOL = 4


def clean(server: DatabaseServer) -> None:
    server.stop()


def immediate(server: DatabaseServer) -> None:
    """PostgreSQL's clients get a word of farewell, MariaDB's none."""
    server.abort()


def killed(server: DatabaseServer) -> None:
    server.kill()


def statuses(replies: list[Reply]) -> list[int]:
    return [each.status for each in replies]


@pytest.mark.parametrize("end", [clean, immediate])
async def test_as_many_requests_as_pooled_connections_succeed_after_a_restart(
    end: Callable[[DatabaseServer], None],
    spare_server: DatabaseServer,
    spare_url: str,
    new_service,
    tags,
) -> None:
    """The event loop has not run since: the end of the connections is still in their sockets."""
    service: Service = new_service(spare_url, pool_size=POOL)
    await service.fill(POOL, "session", "replica")

    end(spare_server)
    spare_server.start()
    inserts = [service.insert(f"unheard-{kind}", kind) for kind in WRITERS]
    reads = [service.read(kind) for kind in ("session", "snapshot", *["replica"] * POOL)]
    unheard = await service.at_once(*inserts, *reads)

    assert statuses(unheard) == [201, 201, *[200] * (2 + POOL)]
    assert await tags(spare_url) == ["unheard-manual", "unheard-session"]
    assert service.database.checked_out == 0


@pytest.mark.parametrize("end", [clean, killed])
async def test_a_restart_that_the_driver_has_heard_of_is_noticed_by_no_request_either(
    end: Callable[[DatabaseServer], None],
    spare_server: DatabaseServer,
    spare_url: str,
    new_service,
    tags,
) -> None:
    service: Service = new_service(spare_url, pool_size=POOL)
    await service.fill(POOL, "session", "replica")

    await asyncio.to_thread(end, spare_server)
    await asyncio.to_thread(spare_server.start)
    inserts = await service.at_once(*[service.insert(f"heard-{n}") for n in range(POOL)])
    reads = await service.at_once(*[service.read("replica")] * POOL)

    assert statuses(inserts) == [201] * POOL
    assert statuses(reads) == [200] * POOL
    assert await tags(spare_url) == [f"heard-{n}" for n in range(POOL)]


async def test_while_the_server_is_down_requests_are_refused_and_the_first_after_it_succeed(
    spare_server: DatabaseServer, spare_url: str, new_service, tags
) -> None:
    service: Service = new_service(spare_url, pool_size=POOL)
    await service.fill(POOL, "session", "replica")

    spare_server.kill()
    kinds = READERS * 2
    down = await service.at_once(
        *[service.read(kind) for kind in kinds], *[service.insert("lost", kind) for kind in WRITERS]
    )
    assert {(each.status, each.headers["retry-after"]) for each in down} == {(503, "1")}
    assert service.database.checked_out == 0

    await asyncio.to_thread(spare_server.start)
    up = await service.at_once(*[service.insert(f"after-{n}") for n in range(POOL)])
    assert statuses(up) == [201] * POOL
    assert await tags(spare_url) == [f"after-{n}" for n in range(POOL)]
