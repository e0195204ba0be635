"""What a COMMIT has led to cannot be found out: the client reads from the primary."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hawkapi import HawkAPI
from sqlalchemy import event, make_url

from asgi import until
from dbservers.clusters import Cluster
from dbservers.held import held_before_commits
from hawkapi_sqlalchemy.core import Database, hooks
from hawkapi_sqlalchemy.core.routing import capture as captures
from hawkapi_sqlalchemy.core.routing.replication import (
    MariaDBReplication,
    PostgreSQLReplication,
    Replication,
)
from hawkapi_sqlalchemy.core.routing.replication.variables import scalar
from replica_service.application import Item
from replica_service.client import HEADER
from tcp_proxy import Proxy, proxy_to

FOLLOWING: dict[str, Any] = {
    "policy": {"probe_interval": 300.0},
    "read_your_writes": {"secret": "s" * 32, "cookie": None},
}
CAPTURES = {"postgresql": b"pg_walfile_name", "mariadb": b"@@last_gtid"}
FUNCTION = """
    CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN {}; RETURN NULL; END $$
"""
TRIGGER = """
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON items DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION at_commit()
"""
UNKNOWN = "its position after a COMMIT is unknown"


@contextlib.asynccontextmanager
async def through_proxy(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Stand between the application and a server."""
    parsed = make_url(url)
    async with proxy_to(parsed.host, parsed.port) as proxy:
        relayed = parsed.set(host="127.0.0.1", port=proxy.port)
        yield proxy, relayed.render_as_string(hide_password=False)


async def is_pinned(client: Any, cluster: Cluster) -> bool:
    """Tell whether reads go to the primary though all replicas have caught up."""
    cluster.wait_for_catch_up()
    reads = [(await client.read("a")).json() for _ in range(6)]
    return reads == [{"value": "1", "port": cluster.primary.port}] * 6


def at_commit(cluster: Cluster, action: str) -> None:
    """Have PostgreSQL do something at the COMMIT of whatever stores an item."""
    for statement in (FUNCTION.format(action), TRIGGER):
        cluster.primary.execute(statement, cluster.database)


@pytest.fixture
def replication(dialect: str) -> type[Replication]:
    return {"postgresql": PostgreSQLReplication, "mariadb": MariaDBReplication}[dialect]


@pytest.fixture
def hang(dialect: str) -> Callable[[Any], Any]:
    """Keep a server busy with a driver's connection."""
    if dialect == "postgresql":
        return lambda connection: connection.fetchrow("SELECT pg_sleep(60)")
    return lambda connection: scalar(connection, "SELECT SLEEP(60)")


@pytest.fixture
def refuse(dialect: str) -> Callable[[Any], Any]:
    """Ask a server on a driver's connection for what it does not tell."""
    if dialect == "postgresql":
        return lambda connection: connection.fetchrow("SELECT no_such()")
    return lambda connection: scalar(connection, "SELECT @@no_such")


async def test_a_connection_that_is_cut_right_after_the_commit(
    dialect: str, start_here, spare_cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    async with through_proxy(spare_cluster.primary_url) as (proxy, url):
        here = await start_here(primary=url, **FOLLOWING)
        proxy.swallow_answer_to = CAPTURES[dialect]
        spare_cluster.pause_replay()
        async with here.client() as client:
            stored = await client.store("a", "1")
            proxy.swallow_answer_to = None
            assert (stored.status_code, HEADER in stored.headers) == (201, True)
            assert UNKNOWN in caplog.text
            # The replicas show nothing yet.
            assert (await client.read("a")).json()["value"] == "1"
            spare_cluster.resume_replay()
            assert await is_pinned(client, spare_cluster)

            # The next position is known again, and does not lift what is not.
            await client.store("b", "1")
            assert await is_pinned(client, spare_cluster)
        await here.database.dispose()


async def test_who_looks_whether_a_lost_commit_has_held_sees_it(
    start_here, spare_cluster: Cluster
) -> None:
    async with through_proxy(spare_cluster.primary_url) as (proxy, url):
        here = await start_here(primary=url, **FOLLOWING)
        spare_cluster.pause_replay()
        async with here.client() as client:
            proxy.swallow_answer_to = b"COMMIT"
            lost = await client.store("a", "1")
            proxy.swallow_answer_to = None
            assert (lost.status_code, HEADER in lost.headers) == (503, True)
            assert (await client.read("a")).json()["value"] == "1"
            spare_cluster.resume_replay()
            assert await is_pinned(client, spare_cluster)
        await here.database.dispose()


@pytest.mark.dialects("postgresql")
async def test_a_commit_that_is_given_up_may_have_held(start_here, spare_cluster: Cluster) -> None:
    at_commit(spare_cluster, "PERFORM pg_sleep(60)")

    def routes(app: HawkAPI) -> None:
        @app.post("/impatient")
        async def impatient(db: Database) -> dict:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2), db.session() as session:
                    session.add(Item(key="a", value="1"))
            return {}

    here = await start_here(routes, **FOLLOWING)
    async with here.client() as client:
        reply = await client.send("POST", "/impatient")
        assert (reply.status_code, HEADER in reply.headers) == (201, True)
        read = (await client.read("a")).json()
    assert read["port"] == spare_cluster.primary.port


@pytest.mark.dialects("postgresql")
async def test_a_commit_that_was_refused_has_stored_nothing_to_be_seen(
    start_here, spare_cluster: Cluster
) -> None:
    at_commit(spare_cluster, "RAISE unique_violation")
    here = await start_here(**FOLLOWING)
    async with here.client() as client:
        reply = await client.store("a", "1")
    assert (reply.status_code, HEADER in reply.headers) == (409, False)


async def test_a_server_that_gives_no_answer_in_time(
    start_here,
    spare_cluster: Cluster,
    replication: type[Replication],
    hang,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(captures, "_TIMEOUT", 0.1)
    here = await start_here(**FOLLOWING)
    with monkeypatch.context() as patched:
        patched.setattr(replication, "capture", lambda _, connection: hang(connection))
        async with here.client() as client:
            stored = await client.store("a", "1")
            assert (stored.status_code, HEADER in stored.headers) == (201, True)
            assert f"{UNKNOWN} (TimeoutError)" in caplog.text
            assert await is_pinned(client, spare_cluster)
    async with here.client() as other:
        # On a connection of its own: the other one is still in the middle of an answer.
        assert (await other.store("b", "1")).status_code == 201
        spare_cluster.wait_for_catch_up()
        assert (await other.read("b")).json()["value"] == "1"
    await until(lambda: here.database.checked_out == 0)


async def test_whatever_the_question_raises_the_request_has_succeeded(
    start_here,
    spare_cluster: Cluster,
    replication: type[Replication],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = await start_here(**FOLLOWING)

    async def fail(_: Replication, connection: Any) -> None:
        raise LookupError(connection)

    monkeypatch.setattr(replication, "capture", fail)
    async with here.client() as client:
        for value in ("0", "1"):
            stored = await client.store("a", value)
            assert (stored.status_code, HEADER in stored.headers) == (201, True)
        assert f"{UNKNOWN} (LookupError)" in caplog.text
        assert await is_pinned(client, spare_cluster)
    async with here.client() as somebody:
        read = (await somebody.read("a")).json()
    assert read["port"] != spare_cluster.primary.port


async def test_what_the_server_refuses_to_tell_costs_no_connection_and_is_said_once(
    start_here,
    spare_cluster: Cluster,
    replication: type[Replication],
    refuse,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = await start_here(**FOLLOWING)
    lost: list[Any] = []
    event.listen(
        here.database.get().engine.sync_engine, "invalidate", lambda *args: lost.append(args)
    )
    monkeypatch.setattr(replication, "capture", lambda _, connection: refuse(connection))
    async with here.client() as client:
        for value in ("0", "1", "1"):
            stored = await client.store("a", value)
            assert (stored.status_code, HEADER in stored.headers) == (201, True)
        assert await is_pinned(client, spare_cluster)
    assert (caplog.text.count(UNKNOWN), len(lost)) == (1, 0)
    assert "no_such" in caplog.text


async def test_an_sqlalchemy_that_does_not_show_when_a_commit_has_ended(
    start_here, spare_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A position from before the COMMIT would be one that stale replicas get to."""
    monkeypatch.setattr(hooks, "_has_private_names", lambda: False)
    here = await start_here(**FOLLOWING)
    async with here.client() as client:
        with held_before_commits(spare_cluster):
            await client.store("a", "1")
            assert (await client.read("a")).json()["value"] == "1"
        assert await is_pinned(client, spare_cluster)
