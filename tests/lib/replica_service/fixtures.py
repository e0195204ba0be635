"""The fixtures of the service. What they need is imported by the tests that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from dbservers.clusters import Cluster
from dbservers.run import Run
from hawkapi_sqlalchemy.pytest.servers.blocking import run_blocking

if TYPE_CHECKING:
    from replica_service.processes import ServiceProcess

type StartServices = Callable[..., list[ServiceProcess]]


@pytest.fixture
def start_services(server_run: Run) -> Iterator[StartServices]:
    """Start processes of the service, which end with the test.

    Called with a `Cluster` or with the primary's URL, the number of processes, and fields of
    `Settings`; answers when all of them do. For a cluster the table is made first, and all its
    replicas are the service's, unless `replicas` says otherwise.
    """
    from replica_service.processes import running_processes
    from replica_service.settings import Settings

    with running_processes(server_run.workspace) as start_processes:

        def start(where: Cluster | str, processes: int = 1, **fields: Any) -> list[ServiceProcess]:
            if isinstance(where, Cluster):
                create_items(where.leader.url(where.database))
                where.wait_for_catch_up()
                fields = {"replicas": where.replica_urls, **fields}
                where = where.primary_url
            return start_processes(Settings(primary=where, **fields), processes)

        yield start


def create_items(url: str) -> None:
    """Make the service's table in a database, unless it is there."""
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    from replica_service.application import Base

    async def create() -> None:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        await engine.dispose()

    run_blocking(create)
