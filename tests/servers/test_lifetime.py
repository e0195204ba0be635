"""Servers end with the run, however it ends, and are shared by all its processes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dbservers.run import Run
from hawkapi_sqlalchemy.pytest.servers.errors import ServerError
from hawkapi_sqlalchemy.pytest.servers.process import is_alive
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until

LIBRARY = Path(__file__).parent.parent / "lib"
COMMAND = (
    *(sys.executable, "-m", "pytest", "-q", "-p", "dbservers.plugin", "-p", "dbservers.fixtures"),
    *("-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=function"),
)
# Starts every kind of server, tells where they are, and waits until it is killed.
HANGS = """
import json
import os
import signal
import time
from pathlib import Path

# A shell's background job ignores the signal, and so do all its children.
signal.signal(signal.SIGINT, signal.default_int_handler)


def test_all(server_run, replicated, pgbouncer_url, own_server, own_postgres_pair):
    # One more state that must not survive: a server that has been killed or paused.
    own_postgres_pair.primary.kill()
    own_server.pause()
    told = Path(os.environ["TELL"]) / replicated.primary.driver
    killed = own_postgres_pair.primary.process.pid
    told.write_text(json.dumps({"root": str(server_run.workspace.root), "killed": killed}))
    time.sleep(300)
"""
SHARES = """
import os
from pathlib import Path

import pytest


@pytest.mark.dialects("postgresql", "mariadb")
@pytest.mark.parametrize("number", range(4))
def test_shared(database_server, worker_id, number):
    folder = Path(os.environ["TELL"])
    (folder / f"{worker_id}-{database_server.port}").touch()
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project whose tests tell what they saw in its folder `told`."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "told").mkdir()
    monkeypatch.setenv("TELL", str(tmp_path / "told"))
    path = os.pathsep.join(filter(None, (str(LIBRARY), os.environ.get("PYTHONPATH"))))
    monkeypatch.setenv("PYTHONPATH", path)
    return tmp_path


@pytest.fixture
def hanging(project: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen]:
    """A pytest run in the midst of its tests, with servers of all kinds."""
    (project / "test_hangs.py").write_text(HANGS)
    with (project / "output").open("wb") as output:
        run = subprocess.Popen(
            [*COMMAND, *request.param], cwd=project, stdout=output, stderr=output
        )
    yield run
    run.kill()
    run.wait()


def supervisor_of(root: Path) -> psutil.Process:
    """Find the process which owns the servers of the run in `root`."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if str(root) in command and any("servers.supervisor" in word for word in command):
            return process
    raise AssertionError(f"no supervisor for {root}")


# Ten servers in a row may take minutes on a machine with other work.
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("hanging", "tests", "number"),
    [
        pytest.param(["-k", "postgresql"], 1, signal.SIGKILL, id="killed"),
        pytest.param(["-n", "2"], 2, signal.SIGKILL, id="killed-with-workers"),
        pytest.param(["-k", "mariadb"], 1, signal.SIGINT, id="interrupted"),
        pytest.param(["-k", "mariadb"], 1, signal.SIGTERM, id="terminated"),
    ],
    indirect=["hanging"],
)
def test_a_run_that_is_ended_leaves_nothing_behind(
    hanging: subprocess.Popen, project: Path, tests: int, number: signal.Signals
) -> None:
    told = project / "told"
    wait_until(
        lambda: (
            len([file for file in told.iterdir() if file.read_text()]) == tests
            or hanging.poll() is not None
        ),
        what="servers run",
        timeout=200,
    )
    assert hanging.poll() is None, (project / "output").read_text()
    stories = [json.loads(file.read_text()) for file in told.iterdir()]
    root = Path(stories[0]["root"])
    creators = {story["killed"] for story in stories}
    supervisor = supervisor_of(root)
    processes = [supervisor, *supervisor.children(recursive=True)]
    assert {"postgres", "mariadbd", "pgbouncer"} <= names_of(processes) or tests == 1
    assert any(root.glob("postgresql-*")), "the run has servers' folders"
    assert sys.platform != "linux" or len(segments_made_by(creators)) == tests

    hanging.send_signal(number)
    try:
        hanging.wait(timeout=30)
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running: {(project / 'output').read_text()}")

    wait_until(
        lambda: not any(is_alive(process) for process in processes),
        what="the servers and their supervisor have gone",
        timeout=20,
    )
    assert not root.exists()
    assert segments_made_by(creators) == set()


def names_of(processes: list[psutil.Process]) -> set[str]:
    names = set()
    for process in processes:
        # A standby without a primary starts a receiver which ends at once, again and again.
        with contextlib.suppress(psutil.NoSuchProcess):
            names.add(process.name())
    return names


def segments_made_by(pids: set[int]) -> set[str]:
    """Return the ids of the shared memory that some processes have created."""
    table = Path("/proc/sysvipc/shm")
    if not table.exists():
        return set()
    rows = [line.split() for line in table.read_text().splitlines()[1:]]
    return {row[1] for row in rows if int(row[4]) in pids}


def test_all_workers_use_the_same_servers(project: Path) -> None:
    (project / "test_shares.py").write_text(SHARES)
    subprocess.run([*COMMAND, "-n", "2"], cwd=project, check=True, capture_output=True)
    seen = [file.name.split("-") for file in (project / "told").iterdir()]
    assert {worker for worker, _ in seen} == {"gw0", "gw1"}
    assert len({port for _, port in seen}) == 2


def test_a_run_without_servers_starts_nothing() -> None:
    run = Run.new()
    run.close()
    assert not run.workspace.root.exists()


def test_a_supervisor_that_does_not_start_says_why_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Run.new()
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(ServerError, match="the supervisor does not start"):
        run.workspace.open()
    run.close()
    assert not run.workspace.root.exists()


def test_a_taken_port_is_given_up_for_another(server_run: Run, monkeypatch) -> None:
    """Between the choice of a port and the server's bind a stranger may come."""
    taken = server_run.pgbouncer().port
    reserve = type(server_run.workspace).reserve_port
    choices = iter([taken])
    monkeypatch.setattr(
        type(server_run.workspace),
        "reserve_port",
        lambda workspace: next(choices, None) or reserve(workspace),
    )
    server = server_run.own_postgresql()
    try:
        assert server.port != taken
        assert server.execute("SELECT 1") == [(1,)]
    finally:
        server.discard()
