"""Which of the registered engines are replicas, and when nothing is routed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call, lifespan
from hawkapi_sqlalchemy.core import (
    ConfigurationError,
    Database,
    DatabaseConfig,
    ReplicaPolicy,
    all_healthy,
    init_database,
    session_for,
)
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.engine import Engine, create_engine
from hawkapi_sqlalchemy.core.routing.condition import ReplicaState
from hawkapi_sqlalchemy.core.routing.reads import RoutedReads
from hawkapi_sqlalchemy.core.routing.replica import Replica
from schema import User

PRIMARY = "postgresql+asyncpg://app:secret@db-1:5432/shop"
REPLICAS = ["postgresql+asyncpg://app@db-2/shop", "postgresql+asyncpg://app@db-3/shop"]

type Configured = Callable[..., Database]


def configured(primary: str, *replicas: str, single: bool = False) -> Database:
    configs = [DatabaseConfig(url) for url in replicas]
    return Database.from_configs(
        {"primary": DatabaseConfig(primary), "replica": configs[0] if single else configs}
    )


def test_those_of_a_list_are_numbered():
    database = configured(PRIMARY, *REPLICAS)
    assert list(database.engines) == ["primary", "replica:0", "replica:1"]
    assert list(database.replicas) == ["replica:0", "replica:1"]
    assert all(database.engines[name].only_read for name in database.replicas)


def test_a_list_of_one_is_numbered_too():
    assert list(configured(PRIMARY, REPLICAS[0]).replicas) == ["replica:0"]


def test_a_tuple_does_as_a_list_does():
    database = Database.from_configs(
        {"primary": DatabaseConfig(PRIMARY), "replica": (DatabaseConfig(REPLICAS[0]),)}
    )
    assert list(database.replicas) == ["replica:0"]


def test_a_single_one_keeps_its_name():
    database = configured(PRIMARY, REPLICAS[0], single=True)
    assert list(database.engines) == ["primary", "replica"]
    assert list(database.replicas) == ["replica"]


def test_an_empty_list_is_refused():
    with pytest.raises(ConfigurationError, match="'replica' is an empty list; leave it out"):
        configured(PRIMARY)


def test_only_replicas_may_be_several():
    with pytest.raises(ConfigurationError, match="'analytics' needs a DatabaseConfig, not list"):
        Database.from_configs(
            {"primary": DatabaseConfig(PRIMARY), "analytics": [DatabaseConfig(PRIMARY)]}
        )


def test_what_is_no_configuration_is_refused_in_a_list_too():
    with pytest.raises(ConfigurationError, match="'replica:0' needs a DatabaseConfig, not str"):
        Database.from_configs({"primary": DatabaseConfig(PRIMARY), "replica": [PRIMARY]})


def test_the_name_of_the_set_answers_its_first():
    database = configured(PRIMARY, *REPLICAS)
    assert database.get("replica") is database.engines["replica:0"]


def test_the_name_of_a_single_one_answers_it():
    database = configured(PRIMARY, REPLICAS[0], single=True)
    assert database.get("replica") is database.engines["replica"]


def test_without_any_the_name_answers_the_primary():
    database = Database.from_configs({"primary": DatabaseConfig(PRIMARY)})
    assert database.get("replica") is database.engines["primary"]
    assert database.replicas == {}


def test_a_database_whose_name_only_begins_like_that_is_no_replica():
    database = Database.from_configs(
        {"primary": DatabaseConfig(PRIMARY), "replicas_of_others": DatabaseConfig(REPLICAS[0])}
    )
    assert database.replicas == {}


@pytest.mark.parametrize(
    "url",
    [
        PRIMARY,
        "postgresql+asyncpg://reader:other@db-1:5432/shop",
        "postgresql+asyncpg://app@db-1:5432/shop?ssl=require",
    ],
)
@pytest.mark.parametrize("single", [True, False])
def test_one_at_the_primary_s_own_address_is_no_replica(url, single):
    database = configured(PRIMARY, url, single=single)
    assert database.replicas == {}
    source, access = database.resolve("replica", Access.WRITE)
    assert isinstance(source, Engine)
    assert source.name.startswith("replica")
    assert access is Access.READ


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("urls", [[PRIMARY, PRIMARY], REPLICAS])
async def test_a_dependency_of_the_set_s_name_passes_the_start_up(urls, commit):
    app = HawkAPI()
    databases = {
        "primary": DatabaseConfig(PRIMARY),
        "replica": [DatabaseConfig(url) for url in urls],
    }
    init_database(app, databases=databases, startup_timeout=None)

    @app.get("/")
    async def handler(session: AsyncSession = Depends(session_for("replica", commit=commit))):
        return {"reads": session.info["hawkapi_access"].is_read_only}

    async with lifespan(app):
        assert (await call(app, "GET", "/")).json() == {"reads": True}


def test_it_is_left_out_beside_real_ones():
    database = configured(PRIMARY, PRIMARY, REPLICAS[0])
    assert list(database.replicas) == ["replica:1"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql+asyncpg://app@db/shop", "postgresql+asyncpg://app@db:5432/shop"),
        ("mysql+aiomysql://app@db/shop", "mysql+aiomysql://app@db:3306/shop"),
        ("mariadb+aiomysql://app@db:3306/shop", "mysql+aiomysql://app@db/shop"),
    ],
)
def test_a_port_that_is_left_out_is_the_usual_one(one, other):
    assert configured(one, other).replicas == {}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://app@db-1:5433/shop",
        "postgresql+asyncpg://app@db-2:5432/shop",
        "postgresql+asyncpg://app@/shop?host=db-2",
    ],
)
def test_one_at_any_other_address_is_a_replica(url):
    assert list(configured(PRIMARY, url).replicas) == ["replica:0"]


def test_hosts_that_are_given_in_the_query_are_compared_too():
    primary = "postgresql+asyncpg://app@/shop?host=db-1:5432&host=db-2:5432"
    assert configured(primary, primary).replicas == {}
    other = "postgresql+asyncpg://app@/shop?host=db-3:5432&host=db-2:5432"
    assert list(configured(primary, other).replicas) == ["replica:0"]


def test_every_kind_of_read_only_session_is_routed_and_none_of_the_primary_is():
    database = configured(PRIMARY, *REPLICAS)
    for access in Access:
        source, resolved = database.resolve("replica", access)
        assert isinstance(source, RoutedReads)
        assert resolved.is_read_only
        assert database.resolve("primary", access)[0] is database.engines["primary"]


def test_engines_that_are_replaced_are_noticed():
    database = configured(PRIMARY, *REPLICAS)
    before, _ = database.resolve("replica", Access.READ)
    assert database.resolve("replica", Access.READ)[0] is before
    own = dict(database.engines)
    # As the pytest portion does: all names lead to the test's only database, and back afterwards.
    for name in own:
        database.engines[name] = create_engine(DatabaseConfig(PRIMARY), name=name)
    assert database.replicas == {}
    assert isinstance(database.resolve("replica", Access.READ)[0], Engine)
    database.engines.clear()
    assert database.replicas == {}
    database.engines.update(own)
    assert list(database.replicas) == ["replica:0", "replica:1"]


def test_a_replica_that_is_added_later_is_noticed():
    database = Database.from_configs({"primary": DatabaseConfig(PRIMARY)})
    assert database.replicas == {}
    database.add("replica", DatabaseConfig(REPLICAS[0]))
    assert list(database.replicas) == ["replica"]


def test_commits_are_observed_once_however_often_the_set_is_made_anew():
    database = configured(PRIMARY, *REPLICAS)
    primary = database.engines["primary"]
    for _ in range(3):
        database.use_replicas(ReplicaPolicy(), tokens=True, wait=0.05)
        assert list(database.replicas) == ["replica:0", "replica:1"]
    assert len(primary._pools.observers) == 1
    database.use_replicas(ReplicaPolicy())
    assert list(database.replicas) == ["replica:0", "replica:1"]
    assert primary._pools.observers == []


def test_commits_are_observed_from_the_moment_when_a_replica_is_added():
    database = Database.from_configs({"primary": DatabaseConfig(PRIMARY)})
    database.use_replicas(ReplicaPolicy(), tokens=True, wait=0.05)
    database.add("replica", DatabaseConfig(REPLICAS[0]))
    assert len(database.engines["primary"]._pools.observers) == 1


def test_a_status_tells_the_weight_and_that_nobody_has_looked_yet():
    database = Database.from_configs(
        {
            "primary": DatabaseConfig(PRIMARY),
            "replica": [
                DatabaseConfig(url, weight=weight)
                for url, weight in zip(REPLICAS, [1, 3], strict=True)
            ],
        }
    )
    assert [each.weight for each in database.replicas.values()] == [1, 3]
    for name, status in database.replicas.items():
        assert status.name == name
        assert status.state is ReplicaState.UNKNOWN
        assert status.reason == "it has not been looked at yet"
        assert (status.served, status.in_flight, status.waiting) == (0, 0, 0)
        assert (status.lag_seconds, status.lag_bytes) == (None, None)


@pytest.fixture
async def copies(url, tmp_path):
    """A SQLite database with two copies of its file as replicas."""
    paths = [tmp_path / f"copy-{number}.sqlite" for number in range(2)]
    for path in paths:
        shutil.copy(url.removeprefix("sqlite+aiosqlite:///"), path)
    database = configured(url, *(f"sqlite+aiosqlite:///{path}" for path in paths))
    yield database
    await database.dispose()


@pytest.fixture
def looks(monkeypatch) -> list[str]:
    """The names of the replicas that were looked at."""
    names: list[str] = []
    ask = Replica._ask

    async def noting(self: Replica) -> None:
        names.append(self.engine.name)
        await ask(self)

    monkeypatch.setattr(Replica, "_ask", noting)
    return names


@pytest.mark.dialects("sqlite")
async def test_copies_of_a_file_serve_and_are_never_looked_at(copies, looks):
    await copies.start_replicas()
    for _ in range(40):
        async with copies.session("replica", commit=False) as session:
            assert list(await session.scalars(select(User))) == []
    assert looks == []
    assert [each.state for each in copies.replicas.values()] == [ReplicaState.UP] * 2
    assert sum(each.served for each in copies.replicas.values()) == 40
    assert min(each.served for each in copies.replicas.values()) > 0


@pytest.mark.dialects("sqlite")
async def test_connections_for_replicas_that_were_down_end_though_others_were_added_since(url):
    nowhere = [f"sqlite+aiosqlite:////none/such/folder/{number}.sqlite" for number in range(2)]
    database = configured(url, nowhere[0])
    routing: Any = database._replication
    async with database.session("replica", commit=False) as session:
        assert list(await session.scalars(select(User))) == []
        standing_in = routing.reads.replicas._spill
        database.add("replica:1", DatabaseConfig(nowhere[1]))
        assert len(database.replicas) == 2
        assert database.checked_out == 1
    assert standing_in.open_connections == 1
    await database.dispose()
    assert standing_in.open_connections == 0


@pytest.mark.dialects("sqlite")
async def test_health_names_each_replica(copies):
    assert await all_healthy(copies) == {"primary": True, "replica:0": True, "replica:1": True}


@pytest.mark.dialects("sqlite")
async def test_a_replica_that_is_down_is_told_but_leaves_the_application_ready(url):
    app = HawkAPI()
    nowhere = DatabaseConfig("sqlite+aiosqlite:////none/such/folder/copy.sqlite")
    databases = {"primary": DatabaseConfig(url), "replica": [nowhere, nowhere]}
    database = init_database(app, databases=databases)
    try:
        down = {"primary": True, "replica:0": False, "replica:1": False}
        assert await all_healthy(database) == down
        reply = await call(app, "GET", "/readyz")
        assert reply.status == 200
        assert b"primary: up, replica:0: down, replica:1: down" in reply.body
    finally:
        await database.dispose()
