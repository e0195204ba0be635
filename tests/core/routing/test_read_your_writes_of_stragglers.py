"""Tasks that outlive the request which has started them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hawkapi import HawkAPI

from asgi import until
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import Database
from replica_service.application import Item, _read
from replica_service.client import HEADER

pytestmark = pytest.mark.dialects("postgresql", "mariadb")


class Straggler:
    """A task of a request, which does one thing after the other when it is told to."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._orders: asyncio.Queue[str] = asyncio.Queue()
        self._results: asyncio.Queue[Any] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            order = await self._orders.get()
            await self._results.put(await getattr(self, f"_{order}")())

    async def _write(self) -> None:
        async with self._database.session() as session:
            session.add(Item(key="straggler", value="1"))

    async def _read(self) -> Any:
        async with self._database.session("replica", commit=False) as session:
            return (await _read(session, "a"))["port"]

    async def tell(self, order: str) -> Any:
        await self._orders.put(order)
        async with asyncio.timeout(20):
            return await self._results.get()

    async def stop(self) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])


async def test_one_sees_what_was_written_as_long_as_a_client_would(
    start_here, spare_cluster: Cluster, asked: list[object]
) -> None:
    stragglers: list[Straggler] = []

    def routes(app: HawkAPI) -> None:
        @app.post("/start")
        async def start(db: Database) -> dict:
            stragglers.append(Straggler(db))
            stragglers[0].start()
            async with db.session() as session:
                session.add(Item(key="a", value="1"))
            return {}

    here = await start_here(
        routes,
        policy={"probe_interval": 300.0},
        read_your_writes={"secret": "s" * 32, "max_age": 2.0},
    )
    spare_cluster.pause_replay()
    async with here.client() as client:
        started = await client.send("POST", "/start")
        assert (started.status_code, HEADER in started.headers) == (201, True)
    straggler = stragglers[0]
    primary = spare_cluster.primary.port
    assert await straggler.tell("read") == primary
    async with asyncio.timeout(20):
        # Each of them asks a server, and so takes its time.
        while (port := await straggler.tell("read")) == primary:
            pass
    assert port in {each.port for each in spare_cluster.replicas}

    # Its own writes it sees too, though no client is to be told of them.
    assert len(asked) == 1
    await straggler.tell("write")
    assert len(asked) == 1
    assert await straggler.tell("read") == primary
    spare_cluster.resume_replay()
    await straggler.stop()
    await until(lambda: here.database.checked_out == 0)
