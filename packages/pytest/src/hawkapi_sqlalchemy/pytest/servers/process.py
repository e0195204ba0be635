"""A process that somebody else started."""

import psutil


class ServerProcess:
    """A server's main process, held so that a recycled pid is never taken for it.

    Args:
        pid: The process.
        create_time: When it started, as psutil tells; None for the process of now.

    Raises:
        psutil.NoSuchProcess: It has ended already.
    """

    def __init__(self, pid: int, create_time: float | None = None) -> None:
        self.main = psutil.Process(pid)
        if create_time is not None and self.main.create_time() != create_time:
            raise psutil.NoSuchProcess(pid)
        self.pid = pid
        self.create_time = self.main.create_time()

    def alive(self) -> bool:
        """Tell whether the process runs, a stopped one included."""
        return is_alive(self.main)


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
