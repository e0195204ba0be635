"""Where this machine keeps PgBouncer."""

import functools
from dataclasses import dataclass

from hawkapi_sqlalchemy.pytest.servers.accounts import service_account
from hawkapi_sqlalchemy.pytest.servers.binaries import Programs, which
from hawkapi_sqlalchemy.pytest.servers.errors import ServerMissingError


@dataclass(frozen=True, kw_only=True)
class PgBouncerPrograms(Programs):
    """PgBouncer's one program.

    Args:
        server: It.
        account: Who runs it.
    """

    server: str


@functools.cache
def pgbouncer() -> PgBouncerPrograms:
    """Find PgBouncer.

    Raises:
        ServerMissingError: There is none.
    """
    account = service_account("postgres")
    if server := which("pgbouncer"):
        return PgBouncerPrograms(server=server, account=account)
    raise ServerMissingError(
        "the program pgbouncer was not found",
        "install the package pgbouncer (Debian, Fedora, Homebrew)",
    )
