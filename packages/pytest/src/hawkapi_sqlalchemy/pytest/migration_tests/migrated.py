"""A fresh database that is migrated for a test."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cached_property

from hawkapi_sqlalchemy.alembic.events import DatabaseEnded, Event, Listener
from hawkapi_sqlalchemy.alembic.program import Migrations
from hawkapi_sqlalchemy.alembic.results import Revision, SchemaCheck
from hawkapi_sqlalchemy.pytest.migration_tests.databases import FreshDatabase
from hawkapi_sqlalchemy.pytest.migration_tests.failures import CommandFailed, MigrationTestFailed
from hawkapi_sqlalchemy.pytest.migration_tests.project import Project
from hawkapi_sqlalchemy.pytest.migration_tests.schema import Schema, read_schema

__all__ = ["MigratedDatabase", "migrated"]


class MigratedDatabase:
    """A database, and the migrations that are run on it.

    Args:
        project: The migrations.
        url: The database.
    """

    def __init__(self, project: Project, url: str) -> None:
        self._project = project
        self._url = url
        self._migrations = Migrations(project.file, url=url)
        self._own_tables: frozenset[str] = frozenset()

    def begin(self) -> None:
        """Make sure that nothing but the fresh database will be touched, and let Alembic begin.

        Raises:
            MigrationTestFailed: `env.py` does not call `run_migrations`, the database cannot be
                reached, or it is not empty.
        """
        with _naming("env.py failed"):
            (state,) = self._migrations.current()
        if state.error is not None:
            raise CommandFailed("the database for the test cannot be asked", state.error)
        if state.current:
            raise MigrationTestFailed(
                f"the database for the test is not empty: it is at {', '.join(state.current)}",
                remedy="env.py has to pass its own URL on to run_migrations, and no connection",
            )
        tables = read_schema(self._url).tables
        self._run(lambda listener: self._migrations.stamp("base", on_event=listener), "stamp")
        # Alembic's own, whatever env.py calls it.
        self._own_tables = read_schema(self._url).tables - tables

    def upgrade(self, to: str = "heads") -> None:
        """Migrate to a revision, by default to the newest.

        Raises:
            CommandFailed: A migration raises.
        """
        self._run(lambda listener: self._migrations.upgrade(to, on_event=listener), "upgrade")

    def downgrade(self, to: str = "base") -> None:
        """Undo migrations down to a revision, by default all.

        Raises:
            CommandFailed: A migration raises.
        """
        self._run(lambda listener: self._migrations.downgrade(to, on_event=listener), "downgrade")

    def undo(self, revision: Revision) -> None:
        """Undo a revision that nothing else is built on.

        Raises:
            CommandFailed: It raises.
        """
        below = revision.down_revisions[0] if revision.down_revisions else "base"
        # Of several revisions that follow that one, this one's branch alone.
        self.downgrade(f"{revision.revision}@{below}")

    def compare(self) -> SchemaCheck:
        """Compare the schema with the models.

        Raises:
            CommandFailed: `env.py` names no models, for instance.
        """
        with _naming("the schema cannot be compared with the models"):
            (check,) = self._migrations.check()
            if check.error is not None:
                raise check.error
        return check

    def schema(self) -> Schema:
        """Read the schema, Alembic's own table apart."""
        return read_schema(self._url).without(self._own_tables)

    @cached_property
    def revisions(self) -> list[Revision]:
        """All revisions, in the order in which they are applied."""
        with _naming("the migration scripts cannot be read"):
            (pending,) = self._migrations.pending().values()
        return pending

    def named(self, revision: str) -> str:
        """Name a revision, and say what and where it is."""
        found = next(each for each in self._migrations.history() if each.revision == revision)
        of = f"{found.message}; " if found.message else ""
        return f"revision {revision} ({of}{self._project.shown(found.path)})"

    def _run(self, command: Callable[[Listener], object], verb: str) -> None:
        failed_at: list[str] = []

        def hear(event: Event) -> None:
            if isinstance(event, DatabaseEnded) and event.result.failed_at is not None:
                failed_at.append(event.result.failed_at)

        try:
            command(hear)
        except Exception as error:
            # Whatever a migration raises is what the test has found.
            where = f"{self.named(failed_at[0])}: its {verb}" if failed_at else f"the {verb}"
            raise CommandFailed(f"{where} failed", error) from error


@contextmanager
def migrated(project: Project, database: FreshDatabase) -> Generator[MigratedDatabase]:
    """Provide a fresh database that no migration has been run on.

    Args:
        project: The migrations.
        database: Provides the database.

    Raises:
        MigrationTestFailed: It cannot be used.
    """
    with database() as url:
        fresh = MigratedDatabase(project, url)
        fresh.begin()
        yield fresh


@contextmanager
def _naming(what: str) -> Generator[None]:
    try:
        yield
    except Exception as error:
        # Whatever the project's own files raise when they are loaded.
        raise CommandFailed(what, error) from error
