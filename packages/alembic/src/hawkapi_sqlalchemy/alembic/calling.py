"""How a program calls Alembic's commands, and hears what `run_migrations` did."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import to_tuple

from hawkapi_sqlalchemy.alembic.configuration import lend
from hawkapi_sqlalchemy.alembic.errors import DatabasesFailedError, MigrationError
from hawkapi_sqlalchemy.alembic.events import Listener
from hawkapi_sqlalchemy.alembic.invocation import Databases, Invocation
from hawkapi_sqlalchemy.alembic.locking import alembic_lock
from hawkapi_sqlalchemy.alembic.results import MigrationResult

__all__ = ["Caller", "check_called"]

_is_busy: ContextVar[bool] = ContextVar("hawkapi_migrations_busy", default=False)


@dataclass(frozen=True)
class Caller:
    """A migration project, and the databases that its commands go to.

    Attributes:
        config: Alembic's configuration.
        url: The databases, in place of those that `env.py` names.
        only: The names of those to use; none for all.
        canary: The name of the database to begin with.
        wait: Seconds to wait for a database that cannot be reached.
    """

    config: Config
    url: Databases | None
    only: tuple[str, ...]
    canary: str | None
    wait: float | None

    def prepare(
        self, destination: Sequence[str] = (), listener: Listener | None = None
    ) -> Invocation:
        """Make the invocation of one command.

        Args:
            destination: The revisions that are asked for.
            listener: Hears what happens.
        """
        invocation = Invocation(
            destination=tuple(destination),
            url=self.url,
            only=self.only,
            canary=self.canary,
            wait=self.wait,
        )
        if listener is not None:
            invocation.listener = listener
        return invocation

    def call[T](self, invocation: Invocation, command: Callable[[Config], T]) -> T:
        """Run a command, alone in this process.

        Args:
            invocation: What `run_migrations` is told, and where it leaves what it did.
            command: Gets the configuration, whose output is collected meanwhile.

        Returns:
            What the command answers.

        Raises:
            MigrationError: It is called from inside another command.
            Exception: Whatever the command raises.
        """
        with _alone(), alembic_lock, lend(self.config, invocation):
            return command(self.config)

    def look[T](
        self,
        script: ScriptDirectory,
        look: Callable[[str, tuple[str, ...], MigrationContext], T],
        failed: Callable[[str, Exception | None], T],
    ) -> list[T]:
        """Look at each database; nothing is changed.

        Args:
            script: The migration scripts.
            look: Gets the name of a database, the revisions it is at, and Alembic's context.
            failed: Gets the name of one that could not be looked at, and why.

        Returns:
            What one or the other answers for each database.

        Raises:
            MigrationError: `env.py` names no database.
            Exception: What went wrong before the first database.
        """
        invocation = self.prepare()
        found: dict[str, T] = {}

        def run(heads: Any, migrating: MigrationContext) -> list[Any]:
            name = invocation.database
            found[name] = look(name, to_tuple(heads, default=()), migrating)
            return []

        def load(config: Config) -> None:
            with EnvironmentContext(config, script, fn=run, dont_mutate=True):
                script.run_env()

        try:
            self.call(invocation, load)
        except Exception as error:
            # What a database raised is its answer.
            if not _is_of_databases(error, invocation.results):
                raise
        check_called(invocation)
        return [
            failed(each.database, each.error) if each.error else found[each.database]
            for each in invocation.results
        ]


def check_called(invocation: Invocation) -> None:
    """Make sure that the command got to `run_migrations`.

    Args:
        invocation: The command's.

    Raises:
        MigrationError: It did not.
    """
    if not invocation.databases:
        raise MigrationError(
            "env.py did not call run_migrations of hawkapi_sqlalchemy.alembic, so nothing is known "
            "of what it did"
        )


def _is_of_databases(error: Exception, results: Sequence[MigrationResult]) -> bool:
    return isinstance(error, DatabasesFailedError) or any(each.error is error for each in results)


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
