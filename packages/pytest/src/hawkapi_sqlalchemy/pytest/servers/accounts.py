"""The account a server runs under: database servers refuse to run as root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from hawkapi_sqlalchemy.pytest.servers.errors import ServerMissingError


@dataclass(frozen=True)
class Account:
    """A user other than root."""

    name: str
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give `path` to the account, where we are root and may."""
        if os.geteuid() == 0:
            os.chown(path, self.uid, self.gid)


def service_account(preferred: str) -> Account:
    """Return our own account, or for root another: `preferred` or nobody.

    Raises:
        ServerMissingError: We are root, and neither account exists.
    """
    if (uid := os.geteuid()) != 0:
        entry = pwd.getpwuid(uid)
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    entries = {entry.pw_name: entry for entry in pwd.getpwall()}
    for name in (preferred, "nobody"):
        if entry := entries.get(name):
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise ServerMissingError(
        f"database servers refuse to run as root, and there is no user {preferred!r}",
        "run the tests as an ordinary user",
    )
