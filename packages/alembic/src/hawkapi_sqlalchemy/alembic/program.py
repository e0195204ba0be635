"""Alembic's commands for programs: what they do is answered as data, and nothing is printed."""

import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import RevisionContext
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.util import to_tuple

from hawkapi_sqlalchemy.alembic.comparing import check_of, make_sure_it_is_at_head
from hawkapi_sqlalchemy.alembic.configuration import find_config, lend
from hawkapi_sqlalchemy.alembic.errors import MigrationError
from hawkapi_sqlalchemy.alembic.events import Listener
from hawkapi_sqlalchemy.alembic.invocation import Databases, Invocation
from hawkapi_sqlalchemy.alembic.locking import alembic_lock
from hawkapi_sqlalchemy.alembic.results import (
    DatabaseState,
    MigrationResult,
    Revision,
    SchemaCheck,
    SqlScript,
)
from hawkapi_sqlalchemy.alembic.running import unknown_revisions

__all__ = ["Migrations"]

type Look = Callable[[str, Any, MigrationContext], None]
"""What is done with the name of a database, the revisions it is at, and Alembic's context."""


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
        self._url = url
        self._databases = tuple(databases)
        self._canary = canary
        self._wait = wait_for_database

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
        states: dict[str, DatabaseState] = {}
        script = ScriptDirectory.from_config(self._config)

        def look(name: str, heads: Any, _: MigrationContext) -> None:
            at = to_tuple(heads, default=())
            unknown = unknown_revisions(at)
            pending = () if unknown else _pending(script, at)
            states[name] = DatabaseState(
                name, at, tuple(each.revision for each in pending), tuple(unknown)
            )

        invocation = self._look(script, look)
        return [
            states.get(each.database) or DatabaseState(each.database, error=each.error)
            for each in invocation.results
        ]

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
        checks: dict[str, SchemaCheck] = {}
        script = ScriptDirectory.from_config(self._config)

        def look(name: str, heads: Any, migrating: MigrationContext) -> None:
            make_sure_it_is_at_head(to_tuple(heads, default=()))
            comparison = RevisionContext(self._config, script, dict(_COMPARE))
            comparison.run_autogenerate(heads, migrating)
            # A hook of the application's takes a revision away in which there is nothing to do.
            found = comparison.generated_revisions
            checks[name] = (
                check_of(name, found[-1].upgrade_ops_list[-1]) if found else SchemaCheck(name)
            )

        invocation = self._look(script, look)
        return [
            checks.get(each.database) or SchemaCheck(each.database, error=each.error)
            for each in invocation.results
        ]

    def heads(self) -> list[Revision]:
        """List the newest revisions of the scripts: one, or several of a history with branches."""
        script = ScriptDirectory.from_config(self._config)
        return [_revision(each) for each in script.get_revisions("heads")]

    def history(self) -> list[Revision]:
        """List the revisions of the scripts, the newest first."""
        script = ScriptDirectory.from_config(self._config)
        return [_revision(each) for each in script.walk_revisions()]

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
        invocation = self._invocation()
        invocation.drops_empty = autogenerate
        with _alone(), alembic_lock, lend(self._config, invocation):
            made = command.revision(
                self._config,
                message,
                autogenerate=autogenerate,
                head=head,
                splice=splice,
                branch_label=branch_label,
                version_path=version_path,
                rev_id=revision_id,
                # Alembic takes several, and says it takes one.
                depends_on=[*depends_on] or None,  # pyright: ignore[reportArgumentType]
            )
        # A hook of the application's may make several of it.
        first = next(iter(made), None) if isinstance(made, list) else made
        return None if first is None else _revision(first)

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
        if len(heads) < 2:  # what can be joined
            raise MigrationError("the migration scripts have one head: there is nothing to join")
        wanted = heads if tuple(revisions) == ("heads",) else revisions
        invocation = self._invocation()
        with _alone(), alembic_lock, lend(self._config, invocation):
            made = command.merge(
                self._config,
                [*wanted],
                message=message or f"join {' and '.join(wanted)}",
                branch_label=branch_label,
                rev_id=revision_id,
            )
        if made is None:
            raise MigrationError("Alembic wrote no revision")
        return _revision(made)

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
        run = command.downgrade if downgrade else command.upgrade
        invocation = self._invocation()
        with _alone(), alembic_lock, lend(self._config, invocation) as printed:
            run(self._config, between, sql=True)
        _make_sure(invocation)
        return SqlScript(invocation.dialect, printed.getvalue(), invocation.version_table)

    def _invocation(
        self, destination: Sequence[str] = (), listener: Listener | None = None
    ) -> Invocation:
        invocation = Invocation(
            destination=tuple(destination),
            url=self._url,
            only=self._databases,
            canary=self._canary,
            wait=self._wait,
        )
        if listener is not None:
            invocation.listener = listener
        return invocation

    def _move(
        self,
        revisions: Sequence[str],
        run: Callable[[Config], None],
        listener: Listener | None,
    ) -> list[MigrationResult]:
        invocation = self._invocation(revisions, listener)
        with _alone(), alembic_lock, lend(self._config, invocation):
            run(self._config)
        _make_sure(invocation)
        return invocation.results

    def _look(self, script: ScriptDirectory, look: Look) -> Invocation:
        """Load `env.py` for a look at each database, which changes nothing."""
        invocation = self._invocation()

        def run(heads: Any, migrating: MigrationContext) -> list[Any]:
            look(invocation.database, heads, migrating)
            return []

        with _alone(), alembic_lock, lend(self._config, invocation):
            environment = EnvironmentContext(self._config, script, fn=run, dont_mutate=True)
            try:
                with environment:
                    script.run_env()
            except Exception:
                if not any(each.error for each in invocation.results):
                    raise
                # That of a database, which stands in its result.
        _make_sure(invocation)
        return invocation


_is_busy: ContextVar[bool] = ContextVar("hawkapi_migrations_busy", default=False)


@contextmanager
def _alone() -> Generator[None]:
    """Refuse a command inside another one.

    Alembic's globals are that one's, and where it migrates in a thread of its own, its caller
    waits with the lock.
    """
    if _is_busy.get():
        raise MigrationError(
            "a command is under way that this one was called from, an event listener for "
            "instance: call it afterwards"
        )
    token = _is_busy.set(True)
    try:
        yield
    finally:
        _is_busy.reset(token)


_COMPARE: dict[str, Any] = {
    "message": None,
    "autogenerate": True,
    "sql": False,
    "head": "head",
    "splice": False,
    "branch_label": None,
    "version_path": None,
    "rev_id": None,
    "depends_on": None,
}
"""What Alembic's own `check` asks of autogenerate."""


def _make_sure(invocation: Invocation) -> None:
    if not invocation.databases:
        raise MigrationError(
            "env.py did not call run_migrations of hawkapi_sqlalchemy.alembic, so nothing is known "
            "of what it did"
        )


def _pending(script: ScriptDirectory, at: tuple[str, ...]) -> list[Script]:
    return [*script.iterate_revisions("heads", at, implicit_base=True)][::-1]


def _revision(script: Script) -> Revision:
    return Revision(
        revision=script.revision,
        down_revisions=to_tuple(script.down_revision, default=()),
        depends_on=to_tuple(script.dependencies, default=()),
        branch_labels=tuple(sorted(script.branch_labels)),
        message=script.doc,
        path=Path(script.path),
        is_head=script.is_head,
    )
