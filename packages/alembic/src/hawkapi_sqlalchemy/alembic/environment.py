"""`run_migrations`: what an `env.py` does."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from alembic import context
from alembic.ddl.impl import DefaultImpl
from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hawkapi_sqlalchemy.alembic.comparing import settle_comparison
from hawkapi_sqlalchemy.alembic.destinations import check_destination, is_moving
from hawkapi_sqlalchemy.alembic.engines import migration_engine
from hawkapi_sqlalchemy.alembic.enums import with_enums
from hawkapi_sqlalchemy.alembic.errors import MigrationError
from hawkapi_sqlalchemy.alembic.invocation import (
    VERSION_TABLE,
    Databases,
    Invocation,
    invocation_of,
)
from hawkapi_sqlalchemy.alembic.locking import alembic_lock
from hawkapi_sqlalchemy.alembic.many import visit
from hawkapi_sqlalchemy.alembic.opening import with_connection
from hawkapi_sqlalchemy.alembic.recording import Recorder
from hawkapi_sqlalchemy.alembic.rendering import render_item
from hawkapi_sqlalchemy.alembic.running import Run, current_heads
from hawkapi_sqlalchemy.alembic.sqlite import EXPLICIT_DRIVERS
from hawkapi_sqlalchemy.alembic.targets import ONLY, Target, find_targets


def run_migrations(
    target_metadata: MetaData | Sequence[MetaData] | None,
    url: Databases,
    *,
    compare_type: bool | Callable[..., bool | None] = True,
    render_as_batch: bool | None = None,
    configure_kwargs: Mapping[str, Any] | None = None,
    migration_lock: bool = True,
    migration_lock_timeout: float = 600.0,
    lock_timeout: float | None = 5.0,
    statement_timeout: float | None = None,
    lock_attempts: int = 20,
    canary: str | None = None,
    wait_for_database: float = 0.0,
) -> None:
    """Run the Alembic command that loaded this `env.py`, on a database or as SQL text.

    It opens one connection without a pool and closes it at the end; with
    `--sql` it opens none. Called while an event loop runs, an async driver gets
    a thread and a loop of its own, and the caller waits. If a connection or an
    engine stands in `config.attributes["connection"]`, that is used instead of
    `url`: an engine is not disposed, and a connection that is in a transaction
    is left for its owner to commit. An `AsyncEngine` must not pool connections
    (`NullPool`) if it is used elsewhere: they belong to the loop that made them.

    Runs that start together on one database, in several containers for
    instance, take turns: one migrates, and the others find nothing left to do.
    Revisions are read once the turn has come. A run that is killed gives its
    turn up. Commands that only read take no turn, and neither does a run on a
    connection that was given: its owner decides.

    A migration that meets a lock of another session gives way after
    `lock_timeout`, so that whoever queues behind it is not held up for longer,
    and is run again after a pause; unless a part of it is stored already, as
    where MariaDB commits each change of a table. On PostgreSQL each migration is
    a transaction of its own, unless `configure_kwargs` says otherwise. A
    connection or an engine that was given keeps its own limits, and nothing is
    repeated on it.

    Several databases with the same schema, shards for instance, are migrated one
    after the other. Until one of them has got to the destination, a migration
    that fails ends the run, and the others are left as they are. Afterwards a
    failure is that database's alone, and is told at the end; the next run goes
    on with what is left. A revision is generated from what all of them have in
    common.

    On SQLite a run is one transaction, so a migration that fails leaves
    nothing. Foreign keys are off meanwhile, and checked before it is committed.

    Args:
        target_metadata: The `MetaData` of the models, or several.
        url: A SQLAlchemy URL with an async or a sync driver, or several by name.
        compare_type: Whether autogenerate compares column types, as Alembic's
            option of that name. Default: it does.
        render_as_batch: Whether autogenerate writes `batch_alter_table`. By
            default on SQLite only, which cannot alter tables otherwise.
        configure_kwargs: More options of Alembic's `context.configure()`; they
            win over those above.
        migration_lock: Whether to take turns with other runs. Needs a direct
            connection on PostgreSQL: a pooler in transaction mode (PgBouncer)
            lends the connection that holds the lock to others. A Galera cluster
            does not replicate the lock: run migrations through one node.
        migration_lock_timeout: Seconds to wait for other runs. Default: ten
            minutes.
        lock_timeout: Seconds that a statement waits for a lock of a table or a
            row, on MariaDB and MySQL rounded up to whole ones; `None` for the
            server's own limit. Default: 5.
        statement_timeout: Seconds that a statement may run; `None` for the
            server's own limit, which is the default. Not on SQLite, and on MySQL
            for SELECT only.
        lock_attempts: How often a migration that meets a lock is tried, with
            pauses of half a second to half a minute. Default: 20.
        canary: The name of the database that is migrated first. Default: the
            first of `url`.
        wait_for_database: Seconds to wait for each database that cannot be reached
            yet, as in a container that starts together with its server. Default: it
            is tried once.

    Raises:
        MigrationError: The URL cannot be read, or the given connection cannot
            be used. No message holds a password.
        DriverNotInstalledError: The URL's driver is not installed.
        DatabaseUnreachableError: No connection could be opened.
        UnknownRevisionError: The scripts do not have the revision that was asked
            for; told before a connection is opened, as the next.
        SeveralHeadsError: `head` was asked for, and there are several.
        UnknownDatabaseRevisionError: The scripts do not have the revision that
            the database is at. Nothing was done to it.
        DatabasesFailedError: Some of several databases failed.
        ForeignKeyViolationError: On SQLite the migration left rows that refer to
            missing rows. It was rolled back.
        MigrationLockTimeoutError: Other runs took all the time. Nothing was done.
        MigrationLockLostError: The connection that holds the lock was lost while
            it migrated; the migration under way was stopped.
        TableLockedError: A lock was not free in any attempt, or the migration
            that met it is stored in part and cannot be repeated.

    Example:
        The whole of an `env.py`, with the application's own names:

            from hawkapi_sqlalchemy.alembic import run_migrations
            from shop.models import Base
            from shop.settings import database_url

            run_migrations(Base.metadata, database_url)
    """
    options: dict[str, Any] = {
        "target_metadata": target_metadata,
        "compare_type": compare_type,
        "render_item": render_item,
    }
    if render_as_batch is not None:
        options["render_as_batch"] = render_as_batch
    options.update(configure_kwargs or {})
    invocation = invocation_of(context.config)
    options["process_revision_directives"] = with_enums(
        options.get("process_revision_directives"), on_emptied=invocation.drop_empty
    )
    run = Run(
        options=options,
        turn_timeout=migration_lock_timeout if migration_lock else None,
        lock_timeout=lock_timeout,
        statement_timeout=statement_timeout,
        lock_attempts=lock_attempts,
    )
    with alembic_lock:
        databases = url if invocation.url is None else invocation.url
        if context.is_offline_mode():
            targets = find_targets(databases, only=invocation.only)
            _print_sql(targets, options, invocation)
            return
        check_destination(invocation.destination)
        given: object = context.config.attributes.get("connection")
        if given is None:
            targets = find_targets(
                databases, only=invocation.only, canary=_canary(invocation, databases, canary)
            )
            wait = wait_for_database if invocation.wait is None else invocation.wait
            _migrate_own(targets, run, invocation, wait)
        else:
            visit((ONLY,), invocation, partial(_migrate_given, given, run), has_canary=False)
            settle_comparison((ONLY,), keeps_empty=not invocation.drops_empty)


def _canary(invocation: Invocation, databases: Databases, own: str | None) -> str | None:
    """Choose the canary: what was asked for wins over what `env.py` says, if that is wanted."""
    if invocation.canary is not None:
        return invocation.canary
    if invocation.url is None and not invocation.only:
        return own
    names = invocation.only or (databases if isinstance(databases, Mapping) else ())
    return own if own in names else None


def _print_sql(targets: Sequence[Target], options: dict[str, Any], invocation: Invocation) -> None:
    url = targets[0].url
    if any(each.url.get_backend_name() != url.get_backend_name() for each in targets):
        raise MigrationError(
            "the databases are of several kinds, each with SQL of its own; choose one: "
            f"{', '.join(each.name for each in targets)}"
        )
    defaults: dict[str, Any] = {
        "url": url,
        "literal_binds": True,
        "dialect_opts": {"paramstyle": "named"},
        "render_as_batch": url.get_backend_name() == "sqlite",
        "transaction_per_migration": url.get_backend_name() == "postgresql",
    }
    context.configure(**{**defaults, **options})
    invocation.databases = tuple(target.name for target in targets)
    invocation.dialect = url.get_backend_name()
    invocation.version_table = options.get("version_table", VERSION_TABLE)
    with context.begin_transaction():
        context.run_migrations()


def _migrate_own(targets: Sequence[Target], run: Run, invocation: Invocation, wait: float) -> None:
    # All at once, so that a missing driver is told before anything is touched.
    moves = is_moving()
    engines = {target.name: migration_engine(target.url, writes=moves) for target in targets}

    def migrate(recorder: Recorder) -> None:
        engine = engines[recorder.database]
        # Always said: Alembic goes on with what it was told for the database before.
        transactional = (
            engine.url.get_driver_name() in EXPLICIT_DRIVERS
            or DefaultImpl.get_by_dialect(engine.dialect).transactional_ddl
        )
        its_run = replace(run, options={"transactional_ddl": transactional, **run.options})
        try:
            with_connection(engine, partial(its_run.on_own, recorder), wait=wait)
        except Exception:
            recorder.failed()
            if recorder.has_run:
                _look_where_it_is(engine, run, recorder)
            raise

    visit([*engines], invocation, migrate, has_canary=moves)
    settle_comparison([*engines], keeps_empty=not invocation.drops_empty)


def _look_where_it_is(engine: Engine | AsyncEngine, run: Run, recorder: Recorder) -> None:
    # What is told of a failure is what is stored. Where that cannot be asked, it is what was
    # known last.
    with suppress(MigrationError, SQLAlchemyError, OSError):
        heads = with_connection(engine, partial(current_heads, run.options))
        recorder.left_at(heads, context.script)


def _migrate_given(given: object, run: Run, recorder: Recorder) -> None:
    match given:
        case Connection():
            run.on_given(recorder, given)
        case Engine() | AsyncEngine():
            with_connection(given, partial(run.on_engines, recorder))
        case AsyncConnection():
            raise MigrationError(
                'config.attributes["connection"] is an AsyncConnection, which can be used only by '
                "the event loop it was opened in; run the Alembic command inside "
                "connection.run_sync() and give it the connection that its function receives"
            )
        case _:
            raise MigrationError(
                'config.attributes["connection"] is neither a SQLAlchemy connection nor an '
                f"engine, but a {type(given).__name__}"
            )
