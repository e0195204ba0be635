"""The quickstart of the README, run as its reader runs it: as a process of its own."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"

_DEADLINE = 60.0


def run(
    *arguments: str, url: str | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=_environment(url),
        capture_output=True,
        text=True,
        timeout=_DEADLINE,
        check=False,
    )


def _environment(url: str | None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return environment if url is None else environment | {"DATABASE_URL": url}


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_check_passes_on_every_database_and_again_on_the_same(database_url: str) -> None:
    for _ in range(2):
        ended = run("examples/quickstart", "--check", url=database_url)

        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == ""
        assert ended.stdout.endswith("All answers are right.\n")
        for answer in ("201 {", "409 {", "200 {", "200 ["):
            assert f"\n  {answer}" in ended.stdout


def test_check_without_a_database_url_leaves_nothing_behind(tmp_path: Path) -> None:
    ended = run(str(QUICKSTART), "--check", cwd=tmp_path)

    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_check_fails_with_a_clear_message_when_an_answer_differs(tmp_path: Path) -> None:
    file = tmp_path / "without-unique.sqlite"
    url = f"sqlite+aiosqlite:///{file}"
    assert run("-m", "alembic", "upgrade", "head", url=url, cwd=QUICKSTART).returncode == 0
    with closing(sqlite3.connect(file)) as connection:
        (statement,) = connection.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'users'"
        ).fetchone()
        connection.execute("DROP TABLE users")
        connection.execute(
            statement.replace("UNIQUE (email)", "CHECK (email <> '')").replace("uq_", "ck_")
        )

    ended = run("examples/quickstart", "--check", url=url)

    assert ended.returncode == 1
    assert ended.stderr == "quickstart: POST /users answered 201, not 409\n"


@pytest.mark.dialects("postgresql", "mariadb")
def test_an_unreachable_server_is_one_line_without_the_password(
    dialect: str, unused_port: int
) -> None:
    driver = {"postgresql": "asyncpg", "mariadb": "aiomysql"}[dialect]
    url = f"{dialect}+{driver}://app:hunter2@127.0.0.1:{unused_port}/app"

    ended = run("examples/quickstart", "--check", url=url)

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "cannot connect to database 'primary'" in line
    assert f"127.0.0.1:{unused_port}" in line
    assert "hunter2" not in ended.stderr + ended.stdout


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://app:hunter2@localhost/app", "'postgresql+asyncpg://'"),
        ("app:hunter2@localhost", "cannot be parsed"),
        ("oracle+oracledb://app:hunter2@localhost/app", "'oracle' is not supported"),
    ],
)
def test_a_url_that_cannot_work_is_one_line_without_the_password(url: str, expected: str) -> None:
    ended = run("examples/quickstart", "--check", url=url)

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert expected in line
    assert "hunter2" not in ended.stderr + ended.stdout


def test_a_taken_port_is_one_line(tmp_path: Path, taken_port: int) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'users.sqlite'}"

    ended = run("examples/quickstart", "--port", str(taken_port), url=url)

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "address already in use" in line.lower()
    assert str(taken_port) in line


@pytest.mark.parametrize("port", ["eighty", "65536", "-1"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    ended = run("examples/quickstart", f"--port={port}")

    assert ended.returncode == 2
    assert "--port" in ended.stderr.splitlines()[-1]


def test_help_names_the_options_and_the_environment() -> None:
    ended = run("examples/quickstart", "--help")

    assert ended.returncode == 0
    for word in ("--check", "--port", "DATABASE_URL", "exit status"):
        assert word in ended.stdout


def test_the_models_match_the_migrations(database_url: str) -> None:
    """Alembic's own command works in the folder, and finds nothing to migrate afterwards."""
    upgraded = run("-m", "alembic", "upgrade", "head", url=database_url, cwd=QUICKSTART)
    assert upgraded.returncode == 0, upgraded.stderr

    checked = run("-m", "alembic", "check", url=database_url, cwd=QUICKSTART)

    assert checked.returncode == 0, checked.stdout + checked.stderr


async def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(QUICKSTART),
        "--port=0",
        cwd=tmp_path,
        env=_environment(None),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_DEADLINE):
            url = await _address(process)
            async with httpx.AsyncClient(base_url=url) as client:
                users = await _first_answer(client)
            process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert users == []
    assert process.returncode == 0, err.decode()
    assert err == b""
    assert out.endswith(b"Ended.\n")
    assert (tmp_path / "quickstart.db").exists()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    async for line in process.stdout:
        words = line.decode().removeprefix("Serving on ").split(";")
        if words[0].startswith("http://"):
            return words[0]
    raise AssertionError("the quickstart ended without serving")


async def _first_answer(client: httpx.AsyncClient) -> object:
    # The port is open before the application has started; requests wait in its queue.
    return (await client.get("/users", timeout=_DEADLINE)).json()
