"""Measurements of scale run on real servers and answer what they should. No time is tested."""

import random
import sys
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest

from dbservers.postgresql import PostgreSQLServer
from harness.scale import databases, memory, pool
from harness.scale.counters import PostgreSQLCounter
from harness.scale.load import INSERT, READ
from harness.scale.modes import MODES
from harness.scale.process import WorkerError, worker_process
from harness.scale.results import Scale
from hawkapi_sqlalchemy.pytest.servers.blocking import run_blocking

PYTHON = Path(sys.executable)
LITTLE = replace(
    MODES["short"],
    rounds=1,
    pool_requests=20,
    memory_requests=40,
    memory_warm_up=20,
    memory_samples=4,
    databases_requests=10,
)


def test_a_pool_point_has_its_ratio_to_raw_and_counts_connections(
    postgresql_server: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CLIENTS", (1, 8))
    monkeypatch.setattr(pool, "POOLS", ((2, 0),))
    site = pool.Site("postgresql", postgresql_server, PostgreSQLCounter(postgresql_server))
    points = pool.measure(site, {"ours": PYTHON, "raw": PYTHON}, LITTLE, random.Random(1))
    assert {(each.peer, each.clients) for each in points} == {
        (peer, clients) for peer in ("ours", "raw") for clients in (1, 8)
    }
    assert Scale.parse(Scale(pool=points).as_dict()) == Scale(pool=points)
    for point in points:
        assert point.failures == 0
        assert point.ratio is not None
        if point.peer == "raw":
            assert point.ratio.median == 1.0
        # The warm-up has opened what there may be.
        assert point.connections_per_second == 0


def test_registered_databases_are_opened_by_start_up_alone(
    postgresql_server: PostgreSQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "COUNTS", (1, 3))
    found = databases.measure(postgresql_server, PYTHON, LITTLE, random.Random(1))
    assert [each.databases for each in found] == [1, 3]
    assert [each.opened_at_start for each in found] == [1, 3]
    assert [each.opened_by_requests for each in found] == [0, 0]
    assert Scale.parse(Scale(databases=found).as_dict()) == Scale(databases=found)


def test_the_names_begin_with_a_primary_and_a_replica() -> None:
    assert databases.database_names(1) == ["primary"]
    assert databases.database_names(4) == ["primary", "replica", "shard:0", "shard:1"]
    assert len(set(databases.database_names(64))) == 64


def test_memory_is_sampled_after_the_warm_up_and_at_equal_distances(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/memory.db"
    found = memory.measure("sqlite", url, PYTHON, LITTLE)
    assert [sample.requests for sample in found.samples] == [0, 10, 20, 30, 40]
    assert all(sample.rss_mib > 1 and sample.objects > 1000 for sample in found.samples)
    assert Scale.parse(Scale(memory=[found]).as_dict()) == Scale(memory=[found])


def test_a_request_that_fails_or_never_ends_is_counted(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/empty.db"
    with worker_process(PYTHON) as worker:
        worker.ask("start", peer="raw", url=url, size=1, overflow=0)
        found = worker.ask("load", routes=[READ], clients=2, requests=4, deadline=20.0)
        assert (found["completed"], found["failures"]) == (4, 4)
        found = worker.ask("load", routes=[READ], clients=1, requests=4, deadline=0.0)
        assert (found["completed"], found["failures"]) == (0, 4)


def test_a_worker_that_ends_tells_why() -> None:
    with pytest.raises(WorkerError, match="no_such_command"), worker_process(PYTHON) as worker:
        worker.ask("no_such_command")


def test_routes_are_asked_in_turn(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/turns.db"
    with worker_process(PYTHON) as worker:
        worker.ask("schema", url=url)
        worker.ask("start", peer="ours", url=url, size=5, overflow=0)
        found = worker.ask("load", routes=[READ, INSERT], clients=2, requests=6, deadline=20.0)
    assert (found["completed"], found["failures"]) == (6, 0)


def test_a_connection_is_counted_as_soon_as_it_has_answered(
    postgresql_server: PostgreSQLServer,
) -> None:
    counter = PostgreSQLCounter(postgresql_server)
    database = postgresql_server.create_database()
    before = counter.opened(database)

    async def use() -> int:
        url = postgresql_server.url(database).replace("+asyncpg", "")
        connections = [await asyncpg.connect(url) for _ in range(3)]
        for connection in connections:
            await connection.fetchval("SELECT 1")
        opened = counter.opened(database)
        for connection in connections:
            await connection.close()
        return opened

    assert run_blocking(use) - before == 3
    postgresql_server.drop_database(database)
