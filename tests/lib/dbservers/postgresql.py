"""PostgreSQL: a primary, and a streaming standby."""

import signal
from typing import Self

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.pytest.servers import postgresql as package
from hawkapi_sqlalchemy.pytest.servers.server import new_name
from hawkapi_sqlalchemy.pytest.servers.sysv import remove_leftovers
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until

_STANDBY_SETTINGS = """
hot_standby_feedback = on
# The default makes a new standby wait up to 5 s before it asks for the stream again.
wal_retrieve_retry_interval = 100ms
wal_receiver_status_interval = 1s
# Of two base backups at once, one's checkpoint removes what the other still has to stream.
wal_keep_size = 32MB
"""


class PostgreSQLServer(DatabaseServer, package.PostgreSQLServer):
    """A PostgreSQL server; `create` makes a primary, `create_standby` its standby."""

    settings = package.PostgreSQLServer.settings + _STANDBY_SETTINGS
    stop_signal = signal.SIGINT

    def create_standby(self) -> Self:
        """Start a standby that streams from this server."""
        folder = self.workspace.new_folder(self.kind, self.account)
        standby = type(self)(self.workspace, folder, self.workspace.reserve_port())
        slot = f"slot_{new_name()}"
        self.workspace.supervision.run(
            [
                self.programs()["pg_basebackup"],
                *("-D", str(folder / "data"), "-d", standby._source(self)),
                *("-R", "-C", "-S", slot, "-X", "stream", "-c", "fast", "--no-sync"),
            ],
            account=self.account,
            folder=folder,
            log=folder / "basebackup.log",
        )
        standby.start_anywhere()
        return standby

    def follow(self, primary: Self) -> None:
        """Let this standby stream from another server, through a slot of its own there."""
        slot = f"slot_{new_name()}"
        primary.execute(f"SELECT pg_create_physical_replication_slot('{slot}', true)")
        self.execute(f"ALTER SYSTEM SET primary_slot_name = '{slot}'")
        self.execute(f"ALTER SYSTEM SET primary_conninfo = '{self._source(primary)}'")
        self.execute("SELECT pg_reload_conf()")

    def _source(self, primary: Self) -> str:
        passfile = self.folder / "passfile"
        if not passfile.exists():
            passfile.write_text(f"*:*:*:*:{self.workspace.password}\n")
            passfile.chmod(0o600)
            self.account.own(passfile)
        return f"host={primary.host} port={primary.port} user={self.admin} passfile={passfile}"

    def abort(self) -> None:
        super().abort()
        # A kill before has left shared memory.
        remove_leftovers(self.folder)

    def position(self) -> str:
        """Return how far this primary's log goes."""
        return self.execute("SELECT pg_current_wal_lsn()::text")[0][0]

    def wait_for_position(self, position: str, timeout: float) -> None:
        """Wait until this standby has replayed its primary's log so far.

        Raises:
            TimeoutError: It has not within `timeout` seconds.
        """
        sql = f"SELECT pg_last_wal_replay_lsn() >= '{position}'"
        wait_until(
            lambda: self.execute(sql)[0][0],
            what=f"the standby has replayed {position}",
            timeout=timeout,
        )

    def pause_replay(self) -> None:
        """Let this standby fall behind."""
        self.execute("SELECT pg_wal_replay_pause()")
        wait_until(
            lambda: self.execute("SELECT pg_get_wal_replay_pause_state()")[0][0] == "paused",
            what="replay is paused",
        )

    def resume_replay(self) -> None:
        """Let this standby catch up, if it is one still."""
        if self.execute("SELECT pg_is_in_recovery()")[0][0]:
            self.execute("SELECT pg_wal_replay_resume()")

    def promote(self) -> None:
        """Make this standby a primary, and wait until it takes writes."""
        self.execute("SELECT pg_promote(wait => true)")
        wait_until(
            lambda: not self.execute("SELECT pg_is_in_recovery()")[0][0],
            what="the standby is promoted",
        )
