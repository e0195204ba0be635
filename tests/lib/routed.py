"""An application on a cluster, and what its sessions send to which server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from hawkapi import HawkAPI
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from authors import Base
from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core import Database, DatabaseConfig, init_database


async def create_authors(cluster: Cluster) -> None:
    """Make the tables of `authors`, and wait until all servers have them."""
    engine = create_async_engine(cluster.primary_url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    cluster.wait_for_catch_up()


def configs(
    cluster: Cluster, *, weights: tuple[float, ...] = (1, 1), **fields: Any
) -> dict[str, Any]:
    """The configurations of a cluster's databases; `fields` are those of each."""
    return {
        "primary": DatabaseConfig(cluster.primary_url, **fields),
        "replica": [
            DatabaseConfig(url, weight=weight, **fields)
            for url, weight in zip(cluster.replica_urls, weights, strict=True)
        ],
    }


@asynccontextmanager
async def application(databases: dict[str, Any], **options: Any) -> AsyncIterator[HawkAPI]:
    """Make an application; at the end none of its connections may be in use."""
    app = HawkAPI()
    database: Database = init_database(app, databases=databases, **options)
    await database.start_replicas()
    try:
        yield app
        assert database.checked_out == 0
    finally:
        await database.dispose()


class Sent:
    """The statements of sessions, each with the server that it went to.

    Attributes:
        all: Pairs of the server's name and the statement.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.all: list[tuple[str, str]] = []
        self._names = {make_url(cluster.primary_url).port: "primary"}
        for number, url in enumerate(cluster.replica_urls):
            self._names[make_url(url).port] = f"replica:{number}"

    def note(self, connection: Connection, statement: str) -> None:
        """Take a statement down, unless it is a look at a server."""
        if not str(connection.engine.pool.logging_name).endswith(" probes"):
            self.all.append((self._names[connection.engine.url.port], statement))

    def take(self) -> list[str]:
        """Answer which servers got a statement since the last call, one name a statement."""
        taken = [name.partition(":")[0] for name, _ in self.all]
        self.all.clear()
        return taken

    @property
    def servers(self) -> set[str]:
        """The servers that got a statement since `take`."""
        return {name for name, _ in self.all}


@contextmanager
def listening(cluster: Cluster) -> Iterator[Sent]:
    """Note the statements that are sent to a cluster's servers."""
    sent = Sent(cluster)

    def execute(
        connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> None:
        del cursor, parameters
        sent.note(connection, statement)

    event.listen(Engine, "before_cursor_execute", execute)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", execute)
