"""What a test does to a server's processes."""

import contextlib
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

from hawkapi_sqlalchemy.pytest.servers.process import ServerProcess, is_alive
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until


def send(process: ServerProcess, number: signal.Signals) -> None:
    """Send a signal to the main process, if it still runs."""
    _send([process.main], number)


def pause(process: ServerProcess) -> None:
    """Stop the process and its children in their tracks."""
    # The main process first: from then on it forks no further child.
    send(process, signal.SIGSTOP)
    _send(_children(process), signal.SIGSTOP)
    # A signal is delivered some time, to one thread after the other.
    family = [process.main, *_children(process)]
    wait_until(
        lambda: all(_stands_still(each) for each in family),
        what=f"process {process.pid} and its children stand still",
    )


def resume(process: ServerProcess) -> None:
    """Let the process and its children run on."""
    _send(_children(process), signal.SIGCONT)
    send(process, signal.SIGCONT)


def kill(process: ServerProcess, timeout: float = 10.0) -> None:
    """Kill the process and all its children, and wait until they are gone."""
    send(process, signal.SIGSTOP)
    family = [process.main, *_children(process)]
    _send(family, signal.SIGKILL)
    wait_until(
        lambda: not any(is_alive(each) for each in family),
        what=f"process {process.pid} and its children have gone",
        timeout=timeout,
    )


def _stands_still(process: psutil.Process) -> bool:
    threads = Path(f"/proc/{process.pid}/task")
    try:
        if not threads.is_dir():
            return process.status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
        # The name in parentheses may hold anything; after it comes the state.
        states = [
            (each / "stat").read_text().rpartition(")")[2].split()[0] for each in threads.iterdir()
        ]
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        # It, or a thread of it, has ended meanwhile: look again.
        return not process.is_running()
    return set(states) <= {"T", "t", "Z", "X"}


def _children(process: ServerProcess) -> list[psutil.Process]:
    # A backend of PostgreSQL leads a session of its own, so that no process group reaches them all.
    try:
        return process.main.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _send(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
