"""One migration run at a time on a database."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Column, Integer, MetaData, String, Table, make_url, text

from hawkapi_sqlalchemy.alembic import MigrationLockLostError, MigrationLockTimeoutError
from hawkapi_sqlalchemy.alembic.engines import migration_engine
from hawkapi_sqlalchemy.alembic.loops import run_to_end
from hawkapi_sqlalchemy.alembic.migration_lock import hold_migration_lock

ENV = """
import os
from hawkapi_sqlalchemy.alembic import run_migrations

run_migrations(None, os.environ["DATABASE"])
"""
LOG = """
op.create_table("log", sa.Column("note", sa.String(20)))
op.execute("INSERT INTO log VALUES ('first')")
"""
LONG_ENOUGH = 60.0


class Runners:
    """Processes that each run `alembic upgrade head` on one database."""

    def __init__(self, project: Any) -> None:
        self.project = project
        self._running: list[subprocess.Popen[str]] = []
        (project.folder / "env.py").write_text(ENV)
        self._ini = project.folder.parent / "alembic.ini"
        self._ini.write_text(f"[alembic]\nscript_location = {project.folder}\n")

    def start(self) -> subprocess.Popen[str]:
        runner = subprocess.Popen(
            [sys.executable, "-m", "alembic", "-c", str(self._ini), "upgrade", "head"],
            env={**os.environ, "DATABASE": str(self.project.url)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._running.append(runner)
        return runner

    def end(self) -> None:
        for runner in self._running:
            runner.kill()
            runner.communicate()


@pytest.fixture
def runners(empty_project: Any, database_url: str) -> Iterator[Runners]:
    empty_project.url = database_url
    runners = Runners(empty_project)
    yield runners
    runners.end()


def wait_for(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LONG_ENOUGH
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.02)


@contextmanager
def held(url: str, timeout: float = 10.0) -> Iterator[Any]:
    """Hold the lock as another run would, from a thread of its own with its own loop."""
    ready, done = threading.Event(), threading.Event()
    given: list[Any] = []

    def hold(connection: Any) -> None:
        with hold_migration_lock(connection, timeout=timeout) as lock:
            given.append(lock)
            ready.set()
            assert done.wait(LONG_ENOUGH)

    async def connected() -> None:
        engine: Any = migration_engine(make_url(url))
        async with engine.connect() as connection:
            await connection.run_sync(hold)

    thread = threading.Thread(target=lambda: asyncio.run(connected()))
    thread.start()
    try:
        assert ready.wait(LONG_ENOUGH)
        yield given[0]
    finally:
        done.set()
        thread.join()


def test_eight_runners_that_start_together_run_each_migration_once(runners: Runners) -> None:
    project = runners.project
    project.add("one", LOG)
    project.add("two", "op.execute(\"INSERT INTO log VALUES ('second')\")", after="one")
    started = [runners.start() for _ in range(8)]
    for runner in started:
        output, _ = runner.communicate(timeout=LONG_ENOUGH)
        assert runner.returncode == 0, output
    assert sorted(project.rows("SELECT note FROM log")) == [("first",), ("second",)]
    assert project.rows("SELECT version_num FROM alembic_version") == [("two",)]


@pytest.mark.dialects("postgresql")
def test_runners_that_wait_do_not_block_an_index_that_is_built_concurrently(
    runners: Runners,
) -> None:
    """It waits for every older snapshot, so a waiting runner must hold none."""
    project = runners.project
    project.add("one", LOG)
    project.add(
        "two",
        """
        with op.get_context().autocommit_block():
            op.create_index("ix_log", "log", ["note"], postgresql_concurrently=True)
        """,
        after="one",
    )
    for runner in [runners.start() for _ in range(4)]:
        output, _ = runner.communicate(timeout=LONG_ENOUGH)
        assert runner.returncode == 0, output
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_log'::regclass"
    assert project.rows(valid) == [(True,)]


def test_a_runner_that_is_killed_leaves_no_lock_behind(runners: Runners, tmp_path: Path) -> None:
    project = runners.project
    marker = tmp_path / "began"
    project.add(
        "one",
        f"""
        import pathlib, time
        marker = pathlib.Path({str(marker)!r})
        if not marker.exists():
            marker.touch()
            time.sleep(600)
        op.create_table("log", sa.Column("note", sa.String(20)))
        op.execute("INSERT INTO log VALUES ('first')")
        """,
    )
    first = runners.start()
    wait_for(marker.exists, "the first run")
    second = runners.start()
    first.send_signal(signal.SIGKILL)
    output, _ = second.communicate(timeout=LONG_ENOUGH)
    assert second.returncode == 0, output
    assert project.rows("SELECT note FROM log") == [("first",)]


def test_who_waits_too_long_says_so_and_does_nothing(
    project: Any, caplog: pytest.LogCaptureFixture
) -> None:
    project.options["migration_lock_timeout"] = 0.5
    caplog.set_level(logging.INFO, logger="hawkapi_sqlalchemy.alembic")
    with held(project.url), pytest.raises(MigrationLockTimeoutError, match=r"0\.5 s") as caught:
        project.upgrade()
    assert caught.value.holder
    assert "another migration run is under way" in caplog.text
    project.upgrade()
    assert project.rows("SELECT name FROM pets") == [("Rex",)]


def test_without_the_lock_nobody_waits(project: Any) -> None:
    project.options["migration_lock"] = False
    with held(project.url):
        project.upgrade()
    assert project.rows("SELECT name FROM pets") == [("Rex",)]


@pytest.mark.parametrize("read", ["current", "check"])
def test_commands_that_only_read_do_not_wait(project: Any, read: str) -> None:
    project.options["migration_lock_timeout"] = 0.0
    project.metadata = MetaData()
    columns = [Column("id", Integer, primary_key=True), Column("name", String(50))]
    Table("pets", project.metadata, *columns)
    project.upgrade()
    with held(project.url):
        getattr(command, read)(project.config)


@pytest.mark.parametrize("move", ["stamp", "downgrade"])
def test_every_command_that_moves_waits(project: Any, move: str) -> None:
    project.upgrade()
    project.options["migration_lock_timeout"] = 0.0
    with held(project.url), pytest.raises(MigrationLockTimeoutError):
        getattr(command, move)(project.config, "base")


KILL_HOLDER = {
    "postgresql": (
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database ON oid = database "
        "WHERE locktype = 'advisory' AND datname = current_database()"
    ),
    "mariadb": (
        "EXECUTE IMMEDIATE "
        "concat('KILL ', is_used_lock(concat('hawkapi_sqlalchemy.alembic:', database())))"
    ),
}


@pytest.mark.dialects("postgresql", "mariadb")
def test_a_migration_whose_lock_is_lost_is_stopped(project: Any, dialect: str) -> None:
    """What it did is not committed: another run may have begun."""
    project.upgrade()
    insert = "INSERT INTO pets (name) VALUES ('Tom')"
    project.add("two", f"op.execute({insert!r})\nop.execute({KILL_HOLDER[dialect]!r})", after="one")
    with pytest.raises(MigrationLockLostError):
        project.upgrade()
    assert project.rows("SELECT version_num FROM alembic_version") == [("one",)]
    assert project.rows("SELECT name FROM pets") == [("Rex",)]


def test_the_projects_own_callbacks_are_called_too(project: Any) -> None:
    seen: list[Any] = []
    project.options["configure_kwargs"] = {
        "on_version_apply": lambda **what: seen.append(what["step"].up_revision_id)
    }
    project.upgrade()
    assert seen == ["one"]


@pytest.mark.dialects("postgresql", "mariadb")
def test_databases_of_one_server_do_not_wait_for_each_other(
    project: Any, other_database_url: str
) -> None:
    project.options["migration_lock_timeout"] = 0.0
    with held(other_database_url):
        project.upgrade()
    assert project.rows("SELECT name FROM pets") == [("Rex",)]


def test_the_lock_is_let_go_when_a_migration_fails(project: Any) -> None:
    project.add("two", 'raise LookupError("broken")', after="one")
    project.options["migration_lock_timeout"] = 0.0
    for _ in range(2):
        with pytest.raises(LookupError):
            project.upgrade()


def test_a_database_in_memory_has_no_lock() -> None:
    async def connected() -> None:
        engine: Any = migration_engine(make_url("sqlite+aiosqlite://"))

        def hold(connection: Any) -> None:
            with hold_migration_lock(connection, timeout=0.0) as lock:
                assert lock is None
                assert connection.execute(text("SELECT 1")).scalar() == 1

        async with engine.connect() as connection:
            await connection.run_sync(hold)

    run_to_end(connected())
