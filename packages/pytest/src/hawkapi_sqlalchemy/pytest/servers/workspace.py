"""The folder of one test run, and what every server in it needs."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import filelock

from hawkapi_sqlalchemy.pytest.servers import ports
from hawkapi_sqlalchemy.pytest.servers.accounts import Account
from hawkapi_sqlalchemy.pytest.servers.supervision import Supervision

# The path of a Unix socket may have some hundred characters, ours included.
_LONGEST_PARENT = 60


@dataclass(frozen=True)
class Workspace:
    """The folder of one run, shared by all its processes.

    Args:
        root: The folder. It need not exist before `open` is called.
        password: What every account of every server has for a password.
        supervision: Starts the servers.
    """

    root: Path
    password: str
    supervision: Supervision

    @property
    def port_folder(self) -> Path:
        """Where ports are reserved."""
        return self.root / "ports"

    def open(self) -> None:
        """Make the folder and start the supervisor, unless that is done already."""
        if self.supervision.started:
            return
        self.root.mkdir(exist_ok=True)
        # The servers' accounts must get through to their own folders.
        self.root.chmod(0o755)
        with self.lock("supervisor"):
            if not self.supervision.started:
                self.port_folder.mkdir(exist_ok=True)
                self.supervision.start()

    def close(self) -> None:
        """End all servers and remove the folder, if there is one."""
        if self.supervision.started:
            self.supervision.end()
        elif self.root.exists():
            # The supervisor did not start, and nothing else did.
            shutil.rmtree(self.root)

    def lock(self, name: str) -> filelock.FileLock:
        """Return a lock that the run's processes share."""
        return filelock.FileLock(self.root / f"{name}.lock", timeout=100.0)

    def new_folder(self, name: str, account: Account) -> Path:
        """Make a folder of a new name, which belongs to `account`."""
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.root))
        account.own(folder)
        return folder

    def reserve_port(self) -> int:
        """Choose a port which no other server of this run gets."""
        return ports.reserve(self.port_folder)

    def copy(self, source: Path, target: Path, account: Account) -> None:
        """Copy a folder to `target`, a path that does not exist yet."""
        reflink = ["--reflink=auto"] if os.uname().sysname == "Linux" else []
        self.supervision.run(
            ["cp", "-a", *reflink, str(source), str(target)],
            account=account,
            folder=target.parent,
            log=target.parent / "copy.log",
        )


def temporary_parent() -> Path:
    """Choose the folder for temporary folders: short, and open to every account."""
    candidates = (Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/var/tmp"))
    for folder in candidates:
        short = len(str(folder)) <= _LONGEST_PARENT
        if short and all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
            return folder
    return candidates[0]
