"""One run of an Alembic command on a connection: in turn, within limits, again after a lock."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection

from hawkapi_sqlalchemy.alembic.comparing import (
    autogenerates,
    is_comparing,
    make_sure_it_is_at_head,
)
from hawkapi_sqlalchemy.alembic.destinations import is_moving, is_relative
from hawkapi_sqlalchemy.alembic.enums import reuse_enums
from hawkapi_sqlalchemy.alembic.errors import UnknownDatabaseRevisionError
from hawkapi_sqlalchemy.alembic.invocation import VERSION_TABLE
from hawkapi_sqlalchemy.alembic.migration_lock import hold_migration_lock
from hawkapi_sqlalchemy.alembic.recording import Recorder
from hawkapi_sqlalchemy.alembic.retries import Progress, retry_locked
from hawkapi_sqlalchemy.alembic.sqlite import check_foreign_keys, foreign_keys_off, violations
from hawkapi_sqlalchemy.alembic.time_limits import set_time_limits

__all__ = ["Run", "current_heads", "unknown_revisions"]


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

    def on_own(self, recorder: Recorder, connection: Connection) -> None:
        """Run on a connection that was opened for it.

        Args:
            recorder: Hears of it.
            connection: Nothing has been executed on it.
        """
        options = dict(self.options)
        if connection.dialect.name == "postgresql":
            # One migration that meets a lock takes nothing with it that was done before.
            options.setdefault("transaction_per_migration", True)
        if is_moving():
            self._in_turn(recorder, connection, options, self._with_retries)
        else:
            _run(recorder, connection, options)

    def on_engines(self, recorder: Recorder, connection: Connection) -> None:
        """Run on a connection of an engine that was given, whose settings are left alone."""
        if is_moving():
            self._in_turn(recorder, connection, dict(self.options), _run)
        else:
            _run(recorder, connection, self.options)

    def on_given(self, recorder: Recorder, connection: Connection) -> None:
        """Run on a connection that was given: turns, limits and retries are its owner's."""
        _run(recorder, connection, self.options)

    def _in_turn(
        self,
        recorder: Recorder,
        connection: Connection,
        options: dict[str, Any],
        run: Callable[[Recorder, Connection, dict[str, Any]], None],
    ) -> None:
        if self.turn_timeout is None:
            run(recorder, connection, options)
            return
        with hold_migration_lock(connection, timeout=self.turn_timeout) as lock:
            if lock is not None:
                # After each migration, before what it did is committed.
                options = _with_callback(options, lock.check)
            run(recorder, connection, options)

    def _with_retries(
        self, recorder: Recorder, connection: Connection, options: dict[str, Any]
    ) -> None:
        set_time_limits(
            connection,
            lock_timeout=self.lock_timeout,
            statement_timeout=self.statement_timeout,
        )
        progress = Progress(connection, options.get("version_table", VERSION_TABLE))
        options = _with_callback(options, progress.complete)

        def run() -> None:
            try:
                _run(recorder, connection, options)
            except BaseException:
                # Alembic ends its own transactions, not one that a look at the revision began.
                connection.rollback()
                raise

        retry_locked(run, progress, attempts=self.lock_attempts, is_relative=is_relative())


def current_heads(options: Mapping[str, Any], connection: Connection) -> tuple[str, ...]:
    """Read the revisions that a database is at.

    Args:
        options: Those of `context.configure()`, of which the version table's count.
        connection: The database.
    """
    table = {key: value for key, value in options.items() if key.startswith("version_table")}
    return MigrationContext.configure(connection, opts=table).get_current_heads()


def unknown_revisions(heads: Iterable[str]) -> list[str]:
    """List those that the migration scripts do not have."""
    unknown: list[str] = []
    for head in heads:
        try:
            context.script.get_revision(head)
        except CommandError:
            unknown.append(head)
    return unknown


def _with_callback(options: dict[str, Any], callback: Callable[..., None]) -> dict[str, Any]:
    given: Any = options.get("on_version_apply", ())
    return {
        **options,
        "on_version_apply": [*(given if isinstance(given, Iterable) else [given]), callback],
    }


def _run(recorder: Recorder, connection: Connection, options: Mapping[str, Any]) -> None:
    options = _with_callback(dict(options), recorder.applied)
    if connection.dialect.name != "sqlite":
        _configure_and_run(recorder, connection, options)
        return
    if not is_moving():
        _configure_and_run(recorder, connection, {"render_as_batch": True, **options})
        return
    with foreign_keys_off(connection):
        before = violations(connection)
        check = partial(check_foreign_keys, connection, before)
        _configure_and_run(recorder, connection, {"render_as_batch": True, **options}, check)


def _configure_and_run(
    recorder: Recorder,
    connection: Connection,
    options: Mapping[str, Any],
    check: Callable[[], None] | None = None,
) -> None:
    # Nothing may be executed on the connection before this: Alembic would find
    # it in a transaction, take that for the caller's, and commit nothing.
    is_ours = not connection.in_transaction()
    context.configure(connection=connection, **options)
    migrating = context.get_context()
    with context.begin_transaction():
        heads = migrating.get_current_heads()
        # `stamp --purge` is the remedy, and does not look at them.
        unknown = [] if migrating.purge or not is_moving() else unknown_revisions(heads)
        if unknown:
            raise UnknownDatabaseRevisionError(unknown)
        recorder.found(heads, context.script, migrating.opts)
        if recorder.is_one_of_several and not is_moving() and not is_comparing():
            # What `alembic current` prints next is this database's.
            context.config.print_stdout("%s:", recorder.database)
        if autogenerates():
            make_sure_it_is_at_head(heads)
        reuse_enums(migrating)
        context.run_migrations()
        if check is not None:
            check()
        recorder.reached(migrating.get_current_heads())
    if is_ours and connection.in_transaction():
        # What Alembic or a migration executed outside Alembic's transactions.
        connection.commit()
