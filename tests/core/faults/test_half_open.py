"""Connections that neither answer nor end: what a firewall makes of them that forgets them."""

from __future__ import annotations

import asyncio

import pytest

from asgi import DEADLINE, until
from service import READERS, WRITERS, Service
from tcp_proxy import Proxy

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

POOL = 4
PATIENCE = 2.0
"""Seconds for a ping, and for a new connection: a busy machine needs some for the latter."""
HALF_OPEN = {"pool_size": POOL, "ping_after_idle": 0.0, "connect_timeout": PATIENCE}


def silence(proxy: Proxy) -> list:
    """Let every connection that is open now fall silent."""
    silent = proxy.open_wires
    for wire in silent:
        wire.silence()
    return silent


@pytest.mark.parametrize("kind", ["session", "replica"])
async def test_one_ping_in_vain_replaces_the_whole_pool(
    kind: str, proxied_url: str, proxy: Proxy, new_service
) -> None:
    """The others need not be asked, at the price of a time limit each."""
    service: Service = new_service(proxied_url, **HALF_OPEN)
    await service.fill(POOL, kind)
    silent = silence(proxy)
    assert len(silent) == POOL

    async with asyncio.timeout(DEADLINE):
        first = await service.read(kind)()
        others = await service.at_once(*[service.read(kind)] * POOL)

    assert [each.status for each in (first, *others)] == [200] * (1 + POOL)
    # The asked one alone has heard of us. The others at most were told that they are closed.
    pings = [each for each in silent if is_asked(each.sent)]
    assert len(pings) == 1
    assert len(proxy.open_wires) == service.database.get().open_connections == POOL


def is_asked(sent: bytearray) -> bool:
    """Whether a ping is among what was sent: PostgreSQL's `SELECT 1`, or MariaDB's COM_PING."""
    return b"SELECT 1" in sent or b"\x01\x00\x00\x00\x0e" in sent


@pytest.mark.parametrize("kind", READERS)
async def test_requests_that_all_ask_at_once_all_succeed(
    kind: str, proxied_url: str, proxy: Proxy, new_service
) -> None:
    service: Service = new_service(proxied_url, **HALF_OPEN)
    await service.fill(POOL, kind)
    silence(proxy)

    async with asyncio.timeout(DEADLINE):
        replies = await service.at_once(*[service.read(kind)] * POOL)

    assert [each.status for each in replies] == [200] * POOL


async def test_a_silent_server_is_said_to_be_out_of_reach(
    proxied_url: str, proxy: Proxy, new_service, tags, url: str
) -> None:
    service: Service = new_service(proxied_url, **(HALF_OPEN | {"connect_timeout": 0.5}))
    await service.fill(2, "session", "replica")
    silence(proxy)
    # New ones too: the port is open, and nobody answers behind it.
    proxy.silent = True
    requests = [service.read(kind) for kind in READERS]
    requests += [service.insert("lost", kind) for kind in WRITERS]

    async with asyncio.timeout(DEADLINE):
        replies = await asyncio.gather(*(each() for each in requests))
    proxy.silent = False

    assert {each.status for each in replies} == {503}
    assert service.database.checked_out == 0
    assert await tags(url) == []


async def test_silent_connections_do_not_hold_the_end_of_a_database_up(
    proxied_url: str, proxy: Proxy, new_service
) -> None:
    service: Service = new_service(proxied_url)
    await service.fill(1, "session", "replica")
    silence(proxy)

    async with asyncio.timeout(DEADLINE):
        await service.database.dispose()

    assert service.database.get().open_connections == 0


async def test_a_silent_connection_that_is_closed_for_its_age_gives_its_place_back(
    proxied_url: str, proxy: Proxy, new_service
) -> None:
    service: Service = new_service(proxied_url, max_overflow=1, pool_max_idle=0.5)
    await service.fill(2, "session")
    old, young = silence(proxy)

    await until(lambda: len(proxy.open_wires) < 2)
    await until(lambda: service.database.get().open_connections == 1)
    # The other is silent still.
    (old if old.open else young).close()
    async with asyncio.timeout(DEADLINE):
        replies = await service.at_once(*[service.read("session")] * 2)

    assert [each.status for each in replies] == [200, 200]


@pytest.mark.parametrize("kind", WRITERS)
async def test_a_commit_whose_answer_is_lost_is_stored_once_and_called_unknown(
    kind: str, proxied_url: str, proxy: Proxy, new_service, tags, url: str
) -> None:
    service: Service = new_service(proxied_url)
    await service.fill(1, kind)
    proxy.swallow_answer_to = b"COMMIT"

    reply = await service.insert("first", kind)()
    proxy.swallow_answer_to = None

    assert reply.status == 503
    assert "look whether it is there" in reply.json()["detail"]
    assert await tags(url) == ["first"]
    assert (await service.insert("second", kind)()).status == 201
    assert await tags(url) == ["first", "second"]


@pytest.mark.parametrize("kind", WRITERS)
async def test_a_write_whose_answer_is_lost_is_not_sent_again(
    kind: str, proxied_url: str, proxy: Proxy, new_service, tags, url: str
) -> None:
    service: Service = new_service(proxied_url)
    await service.fill(1, kind)
    wires = len(proxy.wires)
    proxy.swallow_answer_to = b"INSERT"

    reply = await service.insert("first", kind)()
    proxy.swallow_answer_to = None

    assert reply.status == 503
    assert sum(b"INSERT" in each.sent for each in proxy.wires) == 1
    assert len(proxy.wires) == wires
    assert await tags(url) == []
    assert (await service.insert("second", kind)()).status == 201
    assert await tags(url) == ["second"]
