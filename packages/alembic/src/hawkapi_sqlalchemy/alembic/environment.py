"""`run_migrations`: what an `env.py` does."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from alembic import context
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, MetaData
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from hawkapi_sqlalchemy.alembic.engines import migration_engine, parse_url
from hawkapi_sqlalchemy.alembic.errors import MigrationError
from hawkapi_sqlalchemy.alembic.locking import alembic_lock
from hawkapi_sqlalchemy.alembic.loops import run_to_end
from hawkapi_sqlalchemy.alembic.migration_lock import MigrationLock, hold_migration_lock
from hawkapi_sqlalchemy.alembic.rendering import render_item
from hawkapi_sqlalchemy.alembic.sqlite import (
    EXPLICIT_DRIVERS,
    check_foreign_keys,
    foreign_keys_off,
    violations,
)


def run_migrations(
    target_metadata: MetaData | Sequence[MetaData] | None,
    url: str | URL,
    *,
    compare_type: bool | Callable[..., bool | None] = True,
    render_as_batch: bool | None = None,
    configure_kwargs: Mapping[str, Any] | None = None,
    migration_lock: bool = True,
    migration_lock_timeout: float = 600.0,
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

    On SQLite a run is one transaction, so a migration that fails leaves
    nothing. Foreign keys are off meanwhile, and checked before it is committed.

    Args:
        target_metadata: The `MetaData` of the models, or several.
        url: A SQLAlchemy URL with an async or a sync driver.
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

    Raises:
        MigrationError: The URL cannot be read, or the given connection cannot
            be used. No message holds a password.
        DriverNotInstalledError: The URL's driver is not installed.
        ForeignKeyViolationError: On SQLite the migration left rows that refer to
            missing rows. It was rolled back.
        MigrationLockTimeoutError: Other runs took all the time. Nothing was done.
        MigrationLockLostError: The connection that holds the lock was lost while
            it migrated; the migration under way was stopped.

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
    with alembic_lock:
        if context.is_offline_mode():
            _print_sql(parse_url(url), options)
            return
        wait = migration_lock_timeout if migration_lock and _is_moving() else None
        given: object = context.config.attributes.get("connection")
        if given is None:
            _migrate_own(parse_url(url), options, wait)
        else:
            _migrate_given(given, options, wait)


def _is_moving() -> bool:
    """Tell whether the command goes to a revision: upgrade, downgrade or stamp."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    except CommandError:
        # One that Alembic finds nothing for by this way: `+1`, or a mistake that it reports.
        return True
    return True


def _print_sql(url: URL, options: dict[str, Any]) -> None:
    defaults: dict[str, Any] = {
        "url": url,
        "literal_binds": True,
        "dialect_opts": {"paramstyle": "named"},
        "render_as_batch": url.get_backend_name() == "sqlite",
    }
    context.configure(**{**defaults, **options})
    with context.begin_transaction():
        context.run_migrations()


def _migrate_own(url: URL, options: dict[str, Any], wait: float | None) -> None:
    engine = migration_engine(url)
    if url.get_driver_name() in EXPLICIT_DRIVERS:
        options = {"transactional_ddl": True, **options}
    if isinstance(engine, AsyncEngine):
        run_to_end(_migrate_async(engine, options, wait))
    else:
        _migrate_sync(engine, options, wait)


def _migrate_given(given: object, options: dict[str, Any], wait: float | None) -> None:
    match given:
        case Connection():
            _migrate(given, options)
        case Engine():
            _migrate_sync(given, options, wait)
        case AsyncEngine():
            run_to_end(_migrate_async(given, options, wait))
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


def _migrate_sync(engine: Engine, options: dict[str, Any], wait: float | None) -> None:
    with engine.connect() as connection:
        _migrate_in_turn(connection, options, wait)


async def _migrate_async(engine: AsyncEngine, options: dict[str, Any], wait: float | None) -> None:
    async with engine.connect() as connection:
        await connection.run_sync(partial(_migrate_in_turn, options=options, wait=wait))


def _migrate_in_turn(connection: Connection, options: dict[str, Any], wait: float | None) -> None:
    if wait is None:
        _migrate(connection, options)
        return
    with hold_migration_lock(connection, timeout=wait) as lock:
        if lock is not None:
            options = {**options, "on_version_apply": _callbacks(options, lock)}
        _migrate(connection, options)


def _callbacks(options: dict[str, Any], lock: MigrationLock) -> list[Callable[..., None]]:
    """Look at the lock after each migration, before what it did is committed."""
    given: Any = options.get("on_version_apply", ())

    def check(**_: Any) -> None:
        lock.check()

    return [*(given if isinstance(given, Iterable) else [given]), check]


def _migrate(connection: Connection, options: dict[str, Any]) -> None:
    if connection.dialect.name != "sqlite":
        _configure_and_run(connection, options)
        return
    with foreign_keys_off(connection):
        before = violations(connection)
        check = partial(check_foreign_keys, connection, before)
        _configure_and_run(connection, {"render_as_batch": True, **options}, check)


def _configure_and_run(
    connection: Connection, options: dict[str, Any], check: Callable[[], None] | None = None
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
