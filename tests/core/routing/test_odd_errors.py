"""Errors that no look should meet, as a listener of the application's own may raise them."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from asgi import until
from dbservers.clusters import Cluster
from under_load import IMPATIENT, KEY, running

pytestmark = pytest.mark.dialects("postgresql")


class Trap:
    """Raises an error at each look at one server, while it is set.

    Attributes:
        error: What is raised; `None` lets looks pass.
        server: The server's name.
        met: How many looks have met it.
        passed: How many have not.
    """

    def __init__(self) -> None:
        self.error: Callable[[], BaseException] | None = None
        self.server = ""
        self.met = self.passed = 0

    def __call__(self, connection: Connection, *_: Any) -> None:
        if connection.engine.pool.logging_name != f"{self.server} probes":
            return
        if self.error is None:
            self.passed += 1
            return
        self.met += 1
        raise self.error()


@pytest.fixture
def trap() -> Iterator[Trap]:
    trap = Trap()
    event.listen(Engine, "before_cursor_execute", trap)
    yield trap
    event.remove(Engine, "before_cursor_execute", trap)


def failures(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


@pytest.mark.parametrize("error", [lambda: ValueError("odd"), asyncio.CancelledError])
@pytest.mark.parametrize("server", ["primary", "replica:0"])
async def test_an_odd_error_ends_no_looks_and_fails_neither_the_start_up_nor_a_session(
    server: str, error: Callable[[], BaseException], trap: Trap, spare_cluster: Cluster
) -> None:
    trap.server, trap.error = server, error
    async with running(spare_cluster, policy=IMPATIENT) as service, service.client() as client:
        for _ in range(10):
            assert (await client.read(KEY)).status_code == 200
        await until(lambda: trap.met >= 5)
        if server != "primary":
            assert service.status(0).state == "down"
            await service.until_up(1)
        trap.error = None
        await service.until_up(0, 1)


@pytest.mark.parametrize("server", ["primary", "replica:0"])
async def test_an_odd_error_is_logged_once_until_it_changes(
    server: str, trap: Trap, spare_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    trap.server = server
    told = f"looking at {'database' if server == 'primary' else 'replica'} {server!r} failed"
    async with running(spare_cluster, policy=IMPATIENT) as service:
        await service.until_up(0, 1)

        async def met(error: Exception) -> None:
            before, trap.error = trap.met, lambda: error
            await until(lambda: trap.met >= before + 3)

        await met(ValueError("odd"))
        assert failures(caplog) == [told]
        await met(KeyError("odder"))
        assert failures(caplog) == [told] * 2
        before, trap.error = trap.passed, None
        # One look may be more than one statement.
        await until(lambda: trap.passed >= before + 5)
        await met(KeyError("odder"))
        assert failures(caplog) == [told] * 3


async def test_who_waits_for_a_replica_that_meets_one_is_let_go(
    trap: Trap, spare_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    trap.server = "replica:0"
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, it: unheard.append(it))
    # Nobody looks meanwhile.
    async with running(spare_cluster, policy={"probe_interval": 60.0}) as service:
        routing: Any = service.database._replication
        replica = routing.reads.replicas.replica_of(service.database.engines["replica:0"])
        far = dataclasses.replace(replica.position, lsn=replica.position.lsn + 1024**3)
        trap.error = lambda: ValueError("odd")
        assert not await replica.wait_for(far, 10.0)
        assert failures(caplog) == ["looking at replica 'replica:0' failed"]
        gc.collect()
        assert unheard == []
