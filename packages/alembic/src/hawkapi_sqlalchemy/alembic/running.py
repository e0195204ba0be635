"""One run of an Alembic command on a connection: in turn, within limits, again after a lock."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection

from hawkapi_sqlalchemy.alembic.migration_lock import hold_migration_lock
from hawkapi_sqlalchemy.alembic.retries import Progress, retry_locked
from hawkapi_sqlalchemy.alembic.sqlite import check_foreign_keys, foreign_keys_off, violations
from hawkapi_sqlalchemy.alembic.time_limits import set_time_limits

__all__ = ["Run"]

_RELATIVE = re.compile(r"[+-]\d+$")
_VERSION_TABLE = "alembic_version"


@dataclass(frozen=True)
class Run:
    """What is run, and how.

    Attributes:
        options: Those of Alembic's `context.configure()`.
        turn_timeout: Seconds to wait for other runs; `None` to take no turn.
        lock_timeout: Seconds that a statement waits for a lock; `None` for the
            database's own limit.
        statement_timeout: Seconds that a statement may run; likewise.
        lock_attempts: How often it is tried when a lock is not free.
    """

    options: Mapping[str, Any]
    turn_timeout: float | None
    lock_timeout: float | None
    statement_timeout: float | None
    lock_attempts: int

    def on_own(self, connection: Connection) -> None:
        """Run on a connection that was opened for it.

        Args:
            connection: Nothing has been executed on it.
        """
        options = dict(self.options)
        if connection.dialect.name == "postgresql":
            # One migration that meets a lock takes nothing with it that was done before.
            options.setdefault("transaction_per_migration", True)
        if not _is_moving():
            _run(connection, options)
            return
        self._in_turn(connection, options, self._with_retries)

    def on_engines(self, connection: Connection) -> None:
        """Run on a connection of an engine that was given, whose settings are left alone."""
        if _is_moving():
            self._in_turn(connection, dict(self.options), _run)
        else:
            _run(connection, self.options)

    def on_given(self, connection: Connection) -> None:
        """Run on a connection that was given: turns, limits and retries are its owner's."""
        _run(connection, self.options)

    def _in_turn(
        self,
        connection: Connection,
        options: dict[str, Any],
        run: Callable[[Connection, dict[str, Any]], None],
    ) -> None:
        if self.turn_timeout is None:
            run(connection, options)
            return
        with hold_migration_lock(connection, timeout=self.turn_timeout) as lock:
            if lock is not None:
                # After each migration, before what it did is committed.
                options = _with_callback(options, lock.check)
            run(connection, options)

    def _with_retries(self, connection: Connection, options: dict[str, Any]) -> None:
        set_time_limits(
            connection,
            lock_timeout=self.lock_timeout,
            statement_timeout=self.statement_timeout,
        )
        progress = Progress(connection, options.get("version_table", _VERSION_TABLE))
        options = _with_callback(options, progress.complete)

        def run() -> None:
            try:
                _run(connection, options)
            except BaseException:
                # Alembic ends its own transactions, not one that a look at the revision began.
                connection.rollback()
                raise

        retry_locked(run, progress, attempts=self.lock_attempts, is_relative=_is_relative())


def _is_moving() -> bool:
    """Tell whether the command goes to a revision: upgrade, downgrade or stamp."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    except CommandError:
        # `head` where there are several; Alembic says so itself later.
        return True
    return True


def _is_relative() -> bool:
    """Tell whether the revision is counted from where the database is, or from another."""
    try:
        return bool(_RELATIVE.search(str(context.get_revision_argument())))
    except CommandError:
        return False


def _with_callback(options: dict[str, Any], callback: Callable[[], None]) -> dict[str, Any]:
    given: Any = options.get("on_version_apply", ())

    def call(**_: Any) -> None:
        callback()

    return {
        **options,
        "on_version_apply": [*(given if isinstance(given, Iterable) else [given]), call],
    }


def _run(connection: Connection, options: Mapping[str, Any]) -> None:
    if connection.dialect.name != "sqlite":
        _configure_and_run(connection, options)
        return
    with foreign_keys_off(connection):
        before = violations(connection)
        check = partial(check_foreign_keys, connection, before)
        _configure_and_run(connection, {"render_as_batch": True, **options}, check)


def _configure_and_run(
    connection: Connection, options: Mapping[str, Any], check: Callable[[], None] | None = None
) -> None:
    # Nothing may be executed on the connection before this: Alembic would find
    # it in a transaction, take that for the caller's, and commit nothing.
    is_ours = not connection.in_transaction()
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()
        if check is not None:
            check()
    if is_ours and connection.in_transaction():
        # What Alembic or a migration executed outside Alembic's transactions.
        connection.commit()
