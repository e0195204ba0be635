"""However a handler stores something: its client sees it, while no replica shows it."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from dbservers.clusters import Cluster
from dbservers.held import held_before_commits
from replica_service.client import HEADER
from replica_service.ways_to_write import PATHS, add_routes

FOLLOWING: dict[str, Any] = {
    # Nothing but the tokens tells that the replicas have stopped.
    "policy": {"probe_interval": 300.0},
    "read_your_writes": {"secret": "s" * 32},
}


async def test_whatever_way_a_handler_writes_its_client_sees_it(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(add_routes, **FOLLOWING)
    for path in PATHS:
        with held_before_commits(spare_cluster):
            async with here.client(carry="cookie") as client, here.client() as somebody:
                await client.send("POST", path, key=path)
                read = (await client.read(path)).json()
                stale = (await somebody.read(path)).json()
        assert (path, read) == (path, {"value": "1", "port": spare_cluster.primary.port})
        assert (path, stale["value"]) == (path, None)


@pytest.mark.dialects("postgresql")
async def test_a_write_that_is_not_on_disk_yet_is_seen(start_here, spare_cluster: Cluster) -> None:
    here = await start_here(add_routes, **FOLLOWING)
    with held_before_commits(spare_cluster):
        async with here.client() as client:
            await client.send("POST", "/lazily", key="a")
            read = (await client.read("a")).json()
    assert read == {"value": "1", "port": spare_cluster.primary.port}


async def test_a_redirect_after_a_write_leads_to_what_was_written(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(add_routes, **FOLLOWING)
    with held_before_commits(spare_cluster):
        async with here.client(carry="cookie") as browser:
            redirect = await browser.send("POST", "/redirected", key="a")
            target = httpx.URL(redirect.headers["location"])
            read = await browser.send("GET", target.path, **dict(target.params))
    assert redirect.status_code == 303
    assert read.json() == {"value": "1", "port": spare_cluster.primary.port}


async def test_a_get_that_writes_is_seen_by_the_next_one(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(**FOLLOWING)
    with held_before_commits(spare_cluster):
        async with here.client() as client:
            await client.visit("a", "1")
            read = (await client.read("a")).json()
    assert read == {"value": "1", "port": spare_cluster.primary.port}


async def test_a_request_sees_what_it_has_committed_itself(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(add_routes, **FOLLOWING)
    with held_before_commits(spare_cluster):
        async with here.client(carry=None) as client:
            never_read = await client.send("POST", "/and-read", key="a")
            had_read = await client.send("POST", "/read-and-read", key="b")
    assert never_read.json() == {"value": "1"}
    assert had_read.json() == {"values": [None, None, "1"]}


async def test_a_snapshot_that_has_begun_before_the_commit_stays_as_it_is(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(add_routes, **FOLLOWING)
    with held_before_commits(spare_cluster):
        async with here.client() as client:
            seen = (await client.send("POST", "/snapshots", key="a")).json()
    # The last one is of the session's next snapshot.
    assert seen == {"values": [None, None, "1"]}


async def test_requests_that_write_nothing_leave_replicas_to_their_clients(
    start_here, spare_cluster: Cluster
) -> None:
    here = await start_here(add_routes, **FOLLOWING)
    async with here.client() as client:
        read = await client.read("a")
        failed = await client.send("POST", "/no-such-path", key="a")
        assert HEADER not in read.headers
        assert HEADER not in failed.headers
        assert "set-cookie" not in read.headers


@pytest.mark.dialects("mariadb")
async def test_mariadb_tells_a_request_that_has_only_read_on_the_primary_from_one_that_wrote(
    start_here,
) -> None:
    one_connection = {"pool_size": 1, "max_overflow": 0}
    here = await start_here(config=one_connection, **FOLLOWING)

    async def read() -> bool:
        reply = await client.send("GET", "/primary-items", key="a")
        assert reply.status_code == 200
        return HEADER in reply.headers

    async with here.client(carry=None) as client:
        assert not await read()
        assert HEADER in (await client.store("a", "1")).headers
        # On the connection that has written.
        assert not await read()
        assert HEADER in (await client.store("a", "2")).headers


async def test_requests_at_the_same_time_have_tokens_of_their_own(
    start_here, spare_cluster: Cluster
) -> None:
    """None sees a token, or a commit, of another one."""
    here = await start_here(add_routes, **FOLLOWING)

    async def writer(number: int) -> dict:
        async with here.client() as client:
            await client.store(f"{number}", "1")
            return (await client.read(f"{number}")).json()

    async def reader() -> Any:
        async with here.client() as client:
            reply = await client.read("1")
            assert HEADER not in reply.headers
            return reply.json()["value"]

    with held_before_commits(spare_cluster):
        async with asyncio.TaskGroup() as group:
            writers = [group.create_task(writer(number)) for number in range(10)]
            readers = [group.create_task(reader()) for _ in range(10)]
    expected = {"value": "1", "port": spare_cluster.primary.port}
    assert [each.result() for each in writers] == [expected] * 10
    assert [each.result() for each in readers] == [None] * 10
