"""The service of items in this process, and clients that read from it all the time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from asgi import DEADLINE, lifespan, until
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.routing.replica_status import ReplicaStatus
from replica_service.application import create_app
from replica_service.client import Client
from replica_service.fixtures import create_items
from replica_service.settings import Settings

__all__ = ["CLIENTS", "IMPATIENT", "KEY", "Load", "Service", "fill", "running", "started"]

KEY = "item"
CLIENTS = 16
IMPATIENT: Mapping[str, Any] = {"probe_interval": 0.2, "max_backoff": 0.5}
"""A policy that notices what happens soon."""


class Service:
    """The running application, whose only item is `KEY`.

    Args:
        app: The application.
        cluster: The servers.
    """

    def __init__(self, app: Any, cluster: Cluster) -> None:
        self.app = app
        self.cluster = cluster
        self.database: Database = app.state.db

    def client(self) -> Client:
        """Make a user of the application."""
        return Client(["http://service"], transport=httpx.ASGITransport(self.app))

    def status(self, which: int) -> ReplicaStatus:
        """Tell what the application knows of a replica."""
        return self.database.replicas[f"replica:{which}"]

    def port(self, which: int) -> int:
        """Tell which port a replica has."""
        return self.cluster.replicas[which].port

    async def until_up(self, *which: int, deadline: float = DEADLINE) -> None:
        """Wait until replicas serve."""
        await self._until_all("up", which, deadline)

    async def until_down(self, *which: int, deadline: float = DEADLINE) -> None:
        """Wait until replicas are known not to serve."""
        await self._until_all("down", which, deadline)

    async def _until_all(self, state: str, which: tuple[int, ...], deadline: float) -> None:
        try:
            await until(lambda: all(self.status(each).state == state for each in which), deadline)
        except TimeoutError:
            pytest.fail(f"not all of {which} are {state}: {self.database.replicas}")

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncIterator[Load]:
        """Have clients read until the block is left, which waits for their last answers."""
        async with self.client() as client, asyncio.TaskGroup() as group:
            load = Load(client)
            for _ in range(CLIENTS):
                group.create_task(load.read())
            try:
                yield load
            finally:
                load.ended = True


class Load:
    """Clients that read all the time.

    Args:
        client: What sends their requests.

    Attributes:
        served: How many answers each port has given.
        failures: The answers that were none.
        under_way: Requests that have no answer yet.
    """

    def __init__(self, client: Client) -> None:
        self.served: Counter[int] = Counter()
        self.failures: list[str] = []
        self.under_way = 0
        self.ended = False
        self._client = client
        self._latest: deque[int] = deque(maxlen=4 * CLIENTS)

    async def read(self) -> None:
        """Read until the end."""
        while not self.ended:
            self.under_way += 1
            response = await self._client.read(KEY)
            self.under_way -= 1
            if response.status_code == 200:
                port = response.json()["port"]
                self.served[port] += 1
                self._latest.append(port)
            else:
                self.failures.append(f"{response.status_code}: {response.text}")
            # A busy process answers late, and what is late is not tested here.
            await asyncio.sleep(0.05)

    async def until_served_by(self, *ports: int, deadline: float = DEADLINE) -> None:
        """Wait until many answers in a row have come from these servers, and from each of them."""
        self._latest.clear()
        full = self._latest.maxlen
        try:
            await until(
                lambda: len(self._latest) == full and set(self._latest) == set(ports), deadline
            )
        except TimeoutError:
            latest = Counter(self._latest)
            raise AssertionError(
                f"served by {latest} and not by {ports}; {self.failures}"
            ) from None


@contextlib.asynccontextmanager
async def running(cluster: Cluster, **settings: Any) -> AsyncIterator[Service]:
    """Make the table and the item, and run the application on the cluster.

    Args:
        cluster: The servers.
        **settings: Fields of `Settings`.
    """
    await asyncio.to_thread(fill, cluster)
    async with started(cluster, **settings) as service:
        yield service


@contextlib.asynccontextmanager
async def started(cluster: Cluster, **settings: Any) -> AsyncIterator[Service]:
    """Run the application on a cluster that has its table and its item already."""
    fields = {"primary": cluster.primary_url, "replicas": cluster.replica_urls, **settings}
    app = create_app(Settings(**fields))
    async with lifespan(app):
        yield Service(app, cluster)


def fill(cluster: Cluster) -> None:
    """Make the table and the item, and wait until all replicas have them."""
    create_items(cluster.primary_url)
    cluster.primary.execute(f"INSERT INTO items VALUES ('{KEY}', 'value')", cluster.database)
    cluster.wait_for_catch_up()
