"""The servers that are measured write through to the disk."""

from collections.abc import Iterator

import pytest

from harness.durable import DurableRun
from hawkapi_sqlalchemy.pytest.servers.server import DatabaseServer


@pytest.fixture
def run(database_server: DatabaseServer) -> Iterator[DurableRun]:
    """A run of a benchmark; `database_server` makes sure that this machine has the programs."""
    new = DurableRun.new()
    yield new
    new.close()


@pytest.mark.dialects("postgresql")
def test_a_commit_on_postgresql_is_on_the_disk(run: DurableRun, dialect: str) -> None:
    server = run.postgresql()
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        assert server.execute(f"SHOW {setting}") == [("on",)]


@pytest.mark.dialects("mariadb")
def test_a_commit_on_mariadb_is_on_the_disk(run: DurableRun, dialect: str) -> None:
    asked = "SELECT @@innodb_flush_log_at_trx_commit, @@innodb_doublewrite, @@innodb_flush_method"
    [(flush, doublewrite, method)] = run.mariadb().execute(asked)
    assert (flush, doublewrite) == (1, 1)
    assert method != "nosync"
