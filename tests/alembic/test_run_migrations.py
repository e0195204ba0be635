"""`run_migrations` on every database."""

import asyncio
import threading
from typing import Any

import pytest
from alembic import command
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    inspect,
    make_url,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.alembic import alembic_lock, run_migrations
from hawkapi_sqlalchemy.mixins import Base, TimestampMixin, UUIDMixin


class Parcel(Base, UUIDMixin, TimestampMixin):
    __tablename__ = "migrated_parcels"
    label: Mapped[str] = mapped_column(String(50), unique=True)


def tables(project: Any) -> set[str]:
    return set(project.run(lambda connection: inspect(connection).get_table_names()))


def test_an_upgrade_is_committed(project):
    project.upgrade()
    assert project.rows("SELECT name FROM pets") == [("Rex",)]
    assert project.rows("SELECT version_num FROM alembic_version") == [("one",)]


def test_a_downgrade_is_committed(project):
    project.upgrade()
    command.downgrade(project.config, "base")
    assert tables(project) == {"alembic_version"}


def test_a_stamp_is_committed(project):
    command.stamp(project.config, "head")
    assert project.rows("SELECT version_num FROM alembic_version") == [("one",)]
    assert "pets" not in tables(project)


def test_a_second_upgrade_finds_nothing_to_do(project):
    project.upgrade()
    project.upgrade()
    assert project.rows("SELECT name FROM pets") == [("Rex",)]


def test_a_url_object_serves_as_well_as_text(project):
    project.url = make_url(project.url)
    project.upgrade()
    assert "pets" in tables(project)


def test_an_upgrade_works_inside_a_running_event_loop(project):
    async def start() -> None:
        project.upgrade()

    asyncio.run(start())
    assert project.rows("SELECT name FROM pets") == [("Rex",)]


def test_offline_mode_prints_sql_with_its_values_and_needs_no_database(project):
    project.add(
        "two",
        """
        pets = sa.table("pets", sa.column("name", sa.String))
        op.execute(pets.update().values(name="Max"))
        """,
        after="one",
    )
    address = {} if "sqlite" in project.url else {"host": "127.0.0.1", "port": 1}
    project.url = make_url(project.url).set(database="nowhere/at/all", **address)
    printed = project.sql()
    assert "CREATE TABLE pets" in printed
    assert "INSERT INTO pets (name) VALUES ('Rex')" in printed
    assert "UPDATE pets SET name='Max'" in printed


@pytest.mark.dialects("sqlite", "postgresql")
def test_a_run_without_revisions_is_committed_too(empty_project, database_url):
    """With one transaction a migration, Alembic makes its table in none."""
    empty_project.url = database_url
    empty_project.options = {"configure_kwargs": {"transaction_per_migration": True}}
    empty_project.upgrade()
    assert tables(empty_project) == {"alembic_version"}


BROKEN = """
op.create_table("toys", sa.Column("id", sa.Integer))
op.execute("INSERT INTO nowhere VALUES (1)")
"""


@pytest.mark.dialects("postgresql")
def test_a_migration_that_fails_leaves_nothing_and_those_before_it_stay(project):
    project.add("two", BROKEN, after="one")
    with pytest.raises(DBAPIError, match="nowhere"):
        project.upgrade()
    assert tables(project) == {"alembic_version", "pets"}
    assert project.rows("SELECT version_num FROM alembic_version") == [("one",)]


@pytest.mark.dialects("sqlite", "postgresql")
def test_a_run_in_one_transaction_that_fails_leaves_nothing(project):
    """So it is on SQLite, and on PostgreSQL when told so."""
    project.options["configure_kwargs"] = {"transaction_per_migration": False}
    project.add("two", BROKEN, after="one")
    with pytest.raises(DBAPIError, match="nowhere"):
        project.upgrade()
    assert tables(project) == set()


def test_an_autocommit_block_is_possible(project):
    project.add(
        "two",
        """
        op.create_table("toys", sa.Column("id", sa.Integer, primary_key=True))
        with op.get_context().autocommit_block():
            op.execute("VACUUM" if op.get_bind().dialect.name != "mysql" else "ANALYZE TABLE pets")
        op.create_table("beds", sa.Column("id", sa.Integer, primary_key=True))
        """,
        after="one",
    )
    project.upgrade()
    assert {"pets", "toys", "beds"} <= tables(project)


def test_autogenerate_and_upgrade_bring_the_schema_to_the_models(project):
    """What autogenerate writes runs as it is, mixins included, and leaves no difference."""
    project.metadata = MetaData()
    project.options = {"configure_kwargs": {"include_name": lambda name, *_: name != "pets"}}
    Parcel.__table__.to_metadata(project.metadata)
    project.upgrade()
    command.revision(project.config, "parcels", autogenerate=True, rev_id="two")
    project.upgrade()
    assert "migrated_parcels" in tables(project)
    command.check(project.config)


def test_types_are_compared_unless_told_otherwise(project):
    project.upgrade()
    project.metadata = MetaData()
    Table(
        "pets",
        project.metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(80)),
    )
    with pytest.raises(command.util.AutogenerateDiffsDetected, match="modify_type"):
        command.check(project.config)
    project.options = {"compare_type": False}
    command.check(project.config)


def generated(project: Any) -> str:
    project.metadata = MetaData()
    Table(
        "pets",
        project.metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(50)),
        Column("age", Integer),
    )
    project.upgrade()
    command.revision(project.config, "age", autogenerate=True, rev_id="two")
    return next(project.folder.glob("versions/two*.py")).read_text()


def test_batch_mode_is_for_sqlite_alone(project, dialect):
    assert ("batch_alter_table" in generated(project)) == (dialect == "sqlite")


@pytest.mark.parametrize("wanted", [True, False])
def test_batch_mode_can_be_chosen(project, wanted):
    project.options = {"render_as_batch": wanted}
    assert ("batch_alter_table" in generated(project)) == wanted


def test_configure_kwargs_win_over_every_other_option(project):
    project.options = {
        "render_as_batch": True,
        "configure_kwargs": {"render_as_batch": False, "version_table": "versions"},
    }
    assert "batch_alter_table" not in generated(project)
    assert project.rows("SELECT version_num FROM versions") == [("one",)]


def test_a_given_connection_is_used_and_left_open(project):
    real, project.url = project.url, "sqlite+aiosqlite:///nowhere/at/all.db"

    def migrate(connection: Connection) -> None:
        project.connection = connection
        project.upgrade()
        assert not connection.closed

    async def start() -> None:
        engine = create_async_engine(real, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)

    asyncio.run(start())
    project.url = real
    assert project.rows("SELECT name FROM pets") == [("Rex",)]


@pytest.mark.dialects("postgresql")
def test_the_transaction_of_a_given_connection_stays_its_owners(project):
    def migrate(connection: Connection) -> None:
        project.connection = connection
        with connection.begin() as transaction:
            project.upgrade()
            transaction.rollback()

    async def start() -> None:
        engine = create_async_engine(project.url, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)

    asyncio.run(start())
    assert tables(project) == set()


def test_a_given_async_engine_is_used(project):
    project.connection = create_async_engine(project.url, poolclass=NullPool)
    real, project.url = project.url, "sqlite+aiosqlite:///nowhere/at/all.db"
    project.upgrade()
    project.url = real
    assert "pets" in tables(project)


def test_threads_that_hold_the_lock_migrate_one_after_the_other(
    project, other_database_url, empty_project
):
    first, second = project.config, project.config
    second.attributes["given"]["url"] = other_database_url
    failures: list[BaseException] = []

    def migrate(config: Any) -> None:
        try:
            with alembic_lock:
                command.upgrade(config, "head")
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    threads = [threading.Thread(target=migrate, args=(each,)) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert "pets" in tables(project)
    project.url = other_database_url
    assert "pets" in tables(project)


@pytest.mark.dialects("sqlite")
def test_a_sync_driver_serves_as_well(project):
    real = project.url
    project.url = make_url(real).set(drivername="sqlite")
    project.upgrade()
    project.url = real
    assert project.rows("SELECT name FROM pets") == [("Rex",)]


@pytest.mark.dialects("sqlite")
def test_a_given_sync_engine_is_used(project):
    real = project.url
    project.connection = create_engine(make_url(real).set(drivername="sqlite"), poolclass=NullPool)
    project.url = "sqlite:///nowhere/at/all.db"
    project.upgrade()
    project.url = real
    assert "pets" in tables(project)


def test_metadata_and_url_may_be_given_by_position(project):
    env = project.folder / "env.py"
    env.write_text(env.read_text().replace("target_metadata=", "").replace("url=given", "given"))
    project.upgrade()
    assert "pets" in tables(project)


def test_the_signature_has_the_names_callers_use():
    assert list(run_migrations.__annotations__) == [
        "target_metadata",
        "url",
        "compare_type",
        "render_as_batch",
        "configure_kwargs",
        "migration_lock",
        "migration_lock_timeout",
        "lock_timeout",
        "statement_timeout",
        "lock_attempts",
        "canary",
        "wait_for_database",
        "return",
    ]
