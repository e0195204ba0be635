"""What the package gives its users: a run, whose servers end with it."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from hawkapi_sqlalchemy.pytest.servers.errors import ServerMissingError
from hawkapi_sqlalchemy.pytest.servers.process import is_alive
from hawkapi_sqlalchemy.pytest.servers.run import Run
from hawkapi_sqlalchemy.pytest.servers.server import DatabaseServer
from hawkapi_sqlalchemy.pytest.servers.tools import require_tools
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until

JOINS = """
import json, sys
from hawkapi_sqlalchemy.pytest.servers.run import Run

run = Run.join(json.loads(sys.argv[1]))
server = run.postgresql() if sys.argv[2] == "postgresql" else run.mariadb()
print(server.url())
"""
HANGS = """
import sys, time
from hawkapi_sqlalchemy.pytest.servers.run import Run

run = Run.new()
server = run.postgresql() if sys.argv[1] == "postgresql" else run.mariadb()
print(run.workspace.root, flush=True)
time.sleep(300)
"""
LIGHT = """
import sys
from hawkapi_sqlalchemy.pytest.servers.run import Run

run = Run.new()
Run.join(run.description).close()
run.close()
assert not run.workspace.root.exists()
heavy = {"asyncpg", "aiomysql", "pymysql", "sqlalchemy", "pytest"} & set(sys.modules)
assert not heavy, heavy
"""


@pytest.fixture
def run(database_server: DatabaseServer) -> Iterator[Run]:
    """A run as the package makes it, without what our own tests add.

    `database_server` makes sure that this machine has the programs.
    """
    new = Run.new()
    yield new
    new.close()


def start(run: Run, kind: str) -> DatabaseServer:
    starters: dict[str, Callable[[], DatabaseServer]] = {
        "postgresql": run.postgresql,
        "mariadb": run.mariadb,
    }
    return starters[kind]()


def python(code: str, *arguments: str, cwd: Path) -> str:
    """Run code in a process of its own, where every warning is an error."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=cwd,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


async def test_the_server_is_one_for_all_processes_of_the_run(
    run: Run, dialect: str, tmp_path: Path
) -> None:
    url = start(run, dialect).url()
    assert python(JOINS, json.dumps(run.description), dialect, cwd=tmp_path).strip() == url
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE pets (id INTEGER PRIMARY KEY)"))
            assert await connection.scalar(text("SELECT count(*) FROM pets")) == 0
    finally:
        await engine.dispose()


def test_a_closed_run_leaves_nothing(run: Run, dialect: str) -> None:
    process = start(run, dialect).process
    run.close()
    assert not process.alive()
    assert not run.workspace.root.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_does_not_survive_who_began_the_run(
    database_server: DatabaseServer, dialect: str, tmp_path: Path, number: signal.Signals
) -> None:
    with psutil.Popen(
        [sys.executable, "-c", HANGS, dialect], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        root = Path(process.stdout.readline().strip())
        servers = processes_of(root)
        process.send_signal(number)
    assert servers
    wait_until(lambda: not any(map(is_alive, servers)), what="they have gone", timeout=20)
    assert not root.exists()


def processes_of(root: Path) -> list[psutil.Process]:
    """Find the processes whose command line names a run's folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(root) in word for word in process.info["cmdline"] or ())
    ]


@pytest.mark.dialects("postgresql")
def test_modules_in_the_working_directory_are_not_taken_for_the_libraries_of_the_same_name(
    run: Run, dialect: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "socket", "psutil", "hawkapi_sqlalchemy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not what was asked for')")
    monkeypatch.chdir(tmp_path)
    assert start(run, dialect).execute("SELECT 1") == [(1,)]


def test_a_run_without_servers_loads_nothing_that_only_servers_need(tmp_path: Path) -> None:
    python(LIGHT, cwd=tmp_path)


class TestTools:
    def test_what_is_installed_is_enough(self) -> None:
        for kind in (None, "postgresql", "mariadb"):
            require_tools(kind)

    @pytest.mark.parametrize(
        ("kind", "missing", "remedy"),
        [
            ("postgresql", "asyncpg", "pip install 'hawkapi-sqlalchemy-pytest[postgres]'"),
            ("postgresql", "psutil", "pip install 'hawkapi-sqlalchemy-pytest[postgres]'"),
            ("mariadb", "aiomysql", "pip install 'hawkapi-sqlalchemy-pytest[mysql]'"),
            (
                None,
                "filelock",
                (
                    "pip install 'hawkapi-sqlalchemy-pytest[postgres]' or "
                    "pip install 'hawkapi-sqlalchemy-pytest[mysql]'"
                ),
            ),
        ],
    )
    def test_a_missing_library_is_named_with_the_extra_it_comes_with(
        self, monkeypatch: pytest.MonkeyPatch, kind: Any, missing: str, remedy: str
    ) -> None:
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(ServerMissingError, match=missing) as caught:
            require_tools(kind)
        assert caught.value.remedy == remedy

    def test_another_kind_s_driver_is_not_missed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "asyncpg", None)
        require_tools("mariadb")

    def test_on_windows_the_remedy_is_a_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "hawkapi_sqlalchemy.pytest.servers.tools.os", SimpleNamespace(name="nt")
        )
        with pytest.raises(ServerMissingError, match="URL"):
            require_tools()
