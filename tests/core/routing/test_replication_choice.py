"""Each kind of server is asked in its own way, and SQLite not at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from hawkapi_sqlalchemy.core.routing.replication import (
    NoReplication,
    PrimaryView,
    ReplicaView,
    has_replication,
    replication_of,
)
from hawkapi_sqlalchemy.core.routing.replication.mariadb import MariaDBReplication
from hawkapi_sqlalchemy.core.routing.replication.mysql import MySQLReplication
from hawkapi_sqlalchemy.core.routing.replication.postgresql import PostgreSQLReplication


@pytest.mark.parametrize(
    ("name", "is_mariadb", "expected"),
    [
        ("postgresql", False, PostgreSQLReplication),
        ("mysql", False, MySQLReplication),
        ("mysql", True, MariaDBReplication),
        ("mariadb", True, MariaDBReplication),
        ("sqlite", False, NoReplication),
    ],
)
def test_the_server_decides(name: str, is_mariadb: bool, expected: type) -> None:
    dialect: Any = SimpleNamespace(name=name, is_mariadb=is_mariadb)
    assert type(replication_of(dialect)) is expected
    assert has_replication(name) == (expected is not NoReplication)


async def test_nothing_is_known_of_sqlite_and_nothing_is_held_against_it() -> None:
    replication = replication_of(sqlite.dialect())
    assert await replication.capture(object()) is None
    assert await replication.primary(object()) == PrimaryView(None, is_primary=True, identity=None)
    assert await replication.replica(object(), None) == ReplicaView()
    assert await replication.replayed(object(), object()) is None
