"""Alembic's commands for programs: what they do is answered as data, and nothing is printed."""

import os
from collections.abc import Callable, Iterable, Sequence
from io import StringIO

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hawkapi_sqlalchemy.alembic.calling import Caller, check_called
from hawkapi_sqlalchemy.alembic.comparing import compare
from hawkapi_sqlalchemy.alembic.configuration import find_config
from hawkapi_sqlalchemy.alembic.errors import MigrationError
from hawkapi_sqlalchemy.alembic.events import Listener
from hawkapi_sqlalchemy.alembic.invocation import Databases
from hawkapi_sqlalchemy.alembic.results import (
    DatabaseState,
    MigrationResult,
    Revision,
    SchemaCheck,
    SqlScript,
)
from hawkapi_sqlalchemy.alembic.running import unknown_revisions
from hawkapi_sqlalchemy.alembic.scripts import list_heads, list_history, pending_at, revision_of

__all__ = ["Migrations"]


class Migrations:
    """A migration project, and what can be done with it.

    Its `env.py` calls `run_migrations`. Commands of one process run one after the
    other. They may be called while an event loop runs, which they block; see
    `AsyncMigrations`. Logging is left as it is.

    Args:
        config: Alembic's configuration, or the path of its `alembic.ini` or
            `pyproject.toml`. Default: the one in the current folder.
        url: The database, or several by name, in place of those in `env.py`.
        databases: The names of those to use. Default: all.
        canary: The name of the database to begin with. Default: the first, or what
            `env.py` says.
        wait_for_database: Seconds to wait for a database that cannot be reached yet.
            Default: what `env.py` says.
        x: What `env.py` gets from `context.get_x_argument()`, if `config` is a path.

    Raises:
        MigrationError: There is no configuration.

    Example:
        Migrate before serving:

            from hawkapi_sqlalchemy.alembic import Migrations

            for result in Migrations("alembic.ini").upgrade():
                print(result.database, result.applied, result.seconds)
    """

    def __init__(
        self,
        config: Config | str | os.PathLike[str] | None = None,
        *,
        url: Databases | None = None,
        databases: Iterable[str] = (),
        canary: str | None = None,
        wait_for_database: float | None = None,
        x: Sequence[str] = (),
    ) -> None:
        self._config = find_config(config, x=x)
        self._caller = Caller(
            self._config, url, tuple(databases), canary=canary, wait=wait_for_database
        )

    def upgrade(
        self, revision: str = "head", *, on_event: Listener | None = None
    ) -> list[MigrationResult]:
        """Migrate to a revision.

        Args:
            revision: The revision; `heads` is all of several. Default: `head`.
            on_event: Hears what happens, in the thread that migrates. It may not call a
                command.

        Returns:
            What was done to each database.

        Raises:
            DatabasesFailedError: Some of several databases failed.
            CommandError: What `run_migrations` raises, or Alembic.
            Exception: What the driver or a migration raises, of one database alone.
        """
        return self._move((revision,), lambda config: command.upgrade(config, revision), on_event)

    def downgrade(
        self, revision: str, *, on_event: Listener | None = None
    ) -> list[MigrationResult]:
        """Undo migrations, down to a revision.

        Args:
            revision: The revision that is kept; `base` undoes all, `-1` the last one.
            on_event: As for `upgrade`.

        Returns:
            What was done to each database; `applied` is what was undone.

        Raises:
            Exception: As `upgrade`.
        """
        return self._move((revision,), lambda config: command.downgrade(config, revision), on_event)

    def stamp(
        self,
        revision: str | Sequence[str] = "head",
        *,
        purge: bool = False,
        on_event: Listener | None = None,
    ) -> list[MigrationResult]:
        """Note a revision in the database, and run no migration.

        Args:
            revision: The revision, or several of a history with branches. `base`
                notes none.
            purge: Forget what is noted first, without a look at it. Default: no.
            on_event: As for `upgrade`.

        Returns:
            What was done to each database.

        Raises:
            Exception: As `upgrade`.
        """
        revisions = (revision,) if isinstance(revision, str) else tuple(revision)
        return self._move(
            revisions,
            lambda config: command.stamp(config, [*revisions], purge=purge),
            on_event,
        )

    def current(self) -> list[DatabaseState]:
        """Tell where each database stands.

        Returns:
            One state for each database. Those that cannot be asked have an `error`;
            nothing is raised for them.

        Raises:
            MigrationError: The databases are not known: a URL that cannot be read.
        """
        script = ScriptDirectory.from_config(self._config)

        def look(name: str, at: tuple[str, ...], _: MigrationContext) -> DatabaseState:
            unknown = tuple(unknown_revisions(at))
            return DatabaseState(name, at, () if unknown else pending_at(script, at), unknown)

        return self._caller.look(script, look, lambda name, error: DatabaseState(name, error=error))

    def pending(self) -> dict[str, list[Revision]]:
        """List what an upgrade to all heads would apply to each database, in that order.

        Raises:
            Exception: A database cannot be asked.
        """
        known = {each.revision: each for each in self.history()}
        found: dict[str, list[Revision]] = {}
        for state in self.current():
            if state.error is not None:
                raise state.error
            found[state.database] = [known[revision] for revision in state.pending]
        return found

    def check(self) -> list[SchemaCheck]:
        """Compare the schema of each database with the models.

        Returns:
            One finding for each database. Those that cannot be asked, or are not at
            the newest revision, have an `error`; nothing is raised for them.

        Raises:
            MigrationError: The databases are not known, or `env.py` gives no models.
        """
        script = ScriptDirectory.from_config(self._config)

        def look(name: str, at: tuple[str, ...], migrating: MigrationContext) -> SchemaCheck:
            return compare(name, self._config, script, at, migrating)

        return self._caller.look(script, look, lambda name, error: SchemaCheck(name, error=error))

    def heads(self) -> list[Revision]:
        """List the newest revisions of the scripts: one, or several of a history with branches."""
        return list_heads(self._config)

    def history(self) -> list[Revision]:
        """List the revisions of the scripts, the newest first."""
        return list_history(self._config)

    def revision(
        self,
        message: str,
        *,
        autogenerate: bool = True,
        head: str = "head",
        splice: bool = False,
        branch_label: str | None = None,
        version_path: str | None = None,
        revision_id: str | None = None,
        depends_on: Sequence[str] = (),
    ) -> Revision | None:
        """Write a new revision.

        Args:
            message: What it does, in a few words.
            autogenerate: Whether to fill it with what the databases lack of the
                models. They have to be at the newest revision. Default: yes.
            head: The revision that it follows. Default: the newest.
            splice: Whether `head` may be another than the newest. Default: no.
            branch_label: A name for the branch that begins here.
            version_path: The folder to write into, of several.
            revision_id: Its identifier. Default: one that Alembic makes.
            depends_on: Revisions of other branches that have to be applied before.

        Returns:
            The revision; `None` where autogenerate found nothing to do, and so
            nothing was written.

        Raises:
            DatabasesFailedError: Some of several databases cannot be compared.
            MigrationError: The databases do not all lack the same.
            CommandError: What Alembic raises.
        """
        invocation = self._caller.prepare()
        invocation.drops_empty = autogenerate
        made = self._caller.call(
            invocation,
            lambda config: command.revision(
                config,
                message,
                autogenerate=autogenerate,
                head=head,
                splice=splice,
                branch_label=branch_label,
                version_path=version_path,
                rev_id=revision_id,
                # Alembic takes several, and says it takes one.
                depends_on=[*depends_on] or None,  # pyright: ignore[reportArgumentType]
            ),
        )
        # A hook of the application's may make several of it.
        first = next(iter(made), None) if isinstance(made, list) else made
        return None if first is None else revision_of(first)

    def merge(
        self,
        revisions: Sequence[str] = ("heads",),
        *,
        message: str | None = None,
        branch_label: str | None = None,
        revision_id: str | None = None,
    ) -> Revision:
        """Write a revision that joins others, which are heads.

        Args:
            revisions: Those. Default: all heads.
            message: What it does. Default: that it joins them.
            branch_label: A name for the branch that begins here.
            revision_id: Its identifier. Default: one that Alembic makes.

        Raises:
            MigrationError: There is one head alone.
            CommandError: What Alembic raises.
        """
        heads = [each.revision for each in self.heads()]
        if len(heads) == 1:
            raise MigrationError("the migration scripts have one head: there is nothing to join")
        wanted = heads if tuple(revisions) == ("heads",) else revisions
        made = self._caller.call(
            self._caller.prepare(),
            lambda config: command.merge(
                config,
                [*wanted],
                message=message or f"join {' and '.join(wanted)}",
                branch_label=branch_label,
                rev_id=revision_id,
            ),
        )
        if made is None:
            raise MigrationError("Alembic wrote no revision")
        return revision_of(made)

    def sql(
        self, revision: str = "head", *, start: str | None = None, downgrade: bool = False
    ) -> str:
        """Write out what would be executed, without a connection.

        Args:
            revision: The destination.
            start: The revision that the database is at. Default: none, an empty
                database.
            downgrade: Whether to write a downgrade, which needs `start`. Default: an
                upgrade.

        Returns:
            SQL of the databases' kind.

        Raises:
            Exception: As `sql_script`.
        """
        return self.sql_script(revision, start=start, downgrade=downgrade).text

    def sql_script(
        self, revision: str = "head", *, start: str | None = None, downgrade: bool = False
    ) -> SqlScript:
        """Write out what would be executed, and tell for what kind of database.

        Args:
            revision: As for `sql`.
            start: As for `sql`.
            downgrade: As for `sql`.

        Raises:
            MigrationError: The databases are of several kinds, or a downgrade has no
                start.
            CommandError: What Alembic raises.
        """
        if downgrade and start is None:
            raise MigrationError("a downgrade as SQL needs the revision that it starts from")
        between = revision if start is None else f"{start}:{revision}"
        write = command.downgrade if downgrade else command.upgrade
        printed = StringIO()

        def run(config: Config) -> None:
            config.output_buffer = printed
            write(config, between, sql=True)

        invocation = self._caller.prepare()
        self._caller.call(invocation, run)
        check_called(invocation)
        return SqlScript(invocation.dialect, printed.getvalue(), invocation.version_table)

    def _move(
        self,
        revisions: Sequence[str],
        move: Callable[[Config], None],
        listener: Listener | None,
    ) -> list[MigrationResult]:
        invocation = self._caller.prepare(revisions, listener)
        self._caller.call(invocation, move)
        check_called(invocation)
        return invocation.results
