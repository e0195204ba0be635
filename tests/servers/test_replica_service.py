"""`start_services`: processes that serve an application with a replica, and their client."""

import asyncio
from collections import Counter

import httpx
import pytest

from dbservers.clusters import Cluster
from dbservers.run import Run
from hawkapi_sqlalchemy.pytest.servers.errors import ServerError
from hawkapi_sqlalchemy.pytest.servers.process import is_alive
from replica_service.client import Client
from replica_service.fixtures import StartServices
from replica_service.processes import running_processes
from replica_service.settings import Settings


def one_replica(cluster: Cluster) -> dict:
    return {"replicas": cluster.replica_urls[:1]}


async def test_writes_go_to_the_primary_and_reads_to_the_replica(
    spare_cluster: Cluster, start_services: StartServices
) -> None:
    services = start_services(spare_cluster, 2, **one_replica(spare_cluster))
    async with Client([each.url for each in services]) as client:
        stored = [await client.store("a", "1"), await client.visit("b", "2")]
        again = await client.store("a", "3")
        spare_cluster.wait_for_catch_up()
        read = [await client.read(key) for key in ("a", "b", "c")]

    primary, replica = spare_cluster.primary.port, spare_cluster.replicas[0].port
    assert [each.json()["port"] for each in (*stored, again)] == [primary] * 3
    assert [each.json() for each in read] == [
        {"value": value, "port": replica} for value in ("3", "2", None)
    ]


async def test_a_replica_that_is_paused_answers_what_was_before(
    spare_cluster: Cluster, start_services: StartServices
) -> None:
    (service,) = start_services(spare_cluster, **one_replica(spare_cluster))
    spare_cluster.pause_replay()
    async with Client([service.url]) as client:
        await client.store("a", "1")
        assert (await client.read("a")).json()["value"] is None
        primary = await client.send("GET", "/primary-items", key="a")
    assert primary.json() == {"value": "1", "port": spare_cluster.primary.port}


@pytest.mark.dialects("postgresql")
async def test_a_killed_process_returns_on_its_port(
    spare_cluster: Cluster, start_services: StartServices
) -> None:
    services = start_services(spare_cluster, 2, **one_replica(spare_cluster))
    async with Client([each.url for each in services]) as client:
        services[0].kill()
        with pytest.raises(httpx.TransportError):
            await client.read("a", at=0)
        assert (await client.read("a", at=1)).status_code == 200
        services[0].start()
        assert (await client.read("a", at=0)).status_code == 200


@pytest.mark.dialects("postgresql")
async def test_many_clients_are_served_by_all_processes_in_turn(
    spare_cluster: Cluster, start_services: StartServices
) -> None:
    services = start_services(spare_cluster, 2, **one_replica(spare_cluster))
    ports: Counter[int | None] = Counter()

    async def user(number: int) -> None:
        async with Client([each.url for each in services]) as client:
            for turn in range(4):
                reply = await client.store(f"{number}", f"{turn}")
                assert reply.status_code == 201
                ports[reply.url.port] += 1

    await asyncio.gather(*(user(number) for number in range(20)))
    assert ports == {each.port: 40 for each in services}


@pytest.mark.dialects("postgresql")
def test_a_service_that_does_not_start_says_why(
    spare_cluster: Cluster, start_services: StartServices
) -> None:
    url = spare_cluster.primary.url("missing")
    with pytest.raises(ServerError, match=r"did not answer within 0\.2 s"):
        start_services(url, options={"startup_timeout": 0.2})


@pytest.mark.dialects("postgresql")
def test_processes_end_with_their_test(spare_cluster: Cluster, server_run: Run) -> None:
    with running_processes(server_run.workspace) as start:
        services = start(Settings(primary=spare_cluster.primary_url), 2)
        services[0].pause()
    assert not any(is_alive(each.process.main) for each in services)
    assert not any(each.folder.exists() for each in services)


class TestClient:
    """What the service tells of positions goes back to it as a browser would send it."""

    @staticmethod
    async def requests(carry: str | None) -> list[httpx.Request]:
        sent: list[httpx.Request] = []
        answers = [
            [("X-Database-Position", "one"), ("Set-Cookie", "a=1; Path=/; Secure; HttpOnly")],
            [],
            [("Set-Cookie", "a=; Max-Age=0; Path=/; Secure")],
            [],
        ]

        def answer(request: httpx.Request) -> httpx.Response:
            sent.append(request)
            return httpx.Response(200, headers=answers[len(sent) - 1])

        transport = httpx.MockTransport(answer)
        async with Client(["http://one", "http://two"], carry=carry, transport=transport) as client:
            for _ in answers:
                await client.read("a")
        return sent

    async def test_in_the_header(self) -> None:
        sent = await self.requests("header")
        told = [each.headers.get("X-Database-Position") for each in sent]
        assert told == [None, "one", "one", "one"]
        assert not any("cookie" in each.headers for each in sent)

    async def test_in_a_secure_cookie_over_plain_http_until_it_ends(self) -> None:
        sent = await self.requests("cookie")
        assert [each.headers.get("cookie") for each in sent] == [None, "a=1", "a=1", None]
        assert not any("X-Database-Position" in each.headers for each in sent)

    async def test_not_at_all(self) -> None:
        sent = await self.requests(None)
        assert not any({"cookie", "x-database-position"} & set(each.headers) for each in sent)
