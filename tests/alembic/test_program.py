"""The commands for programs: what they do is answered as data."""

import asyncio
import inspect
import io
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.util import CommandError
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.alembic import (
    AsyncMigrations,
    DatabaseEnded,
    DatabaseStarted,
    DatabaseUnreachableError,
    MigrationError,
    Migrations,
    MigrationsPlanned,
    RevisionApplied,
    UnknownDatabaseRevisionError,
)

LOG = 'op.create_table("log", sa.Column("note", sa.String(20)))'


@pytest.fixture
def two(project: Any) -> Any:
    """A project of two revisions."""
    project.add("two", LOG, 'op.drop_table("log")', after="one")
    return project


def test_an_upgrade_answers_what_it_did(two: Any) -> None:
    (result,) = Migrations(two.config).upgrade()
    assert (result.database, result.error, result.failed_at) == ("primary", None, None)
    assert (result.from_, result.to, result.applied) == ((), ("two",), ("one", "two"))
    assert result.seconds > 0
    assert two.rows("SELECT name FROM pets") == [("Rex",)]


def test_a_second_upgrade_answers_that_it_did_nothing(two: Any) -> None:
    Migrations(two.config).upgrade("one")
    (result,) = Migrations(two.config).upgrade("one")
    assert (result.from_, result.to, result.applied) == (("one",), ("one",), ())


def test_a_downgrade_answers_what_it_undid(two: Any) -> None:
    migrations = Migrations(two.config)
    migrations.upgrade()
    (result,) = migrations.downgrade("-1")
    assert (result.from_, result.to, result.applied) == (("two",), ("one",), ("two",))
    (result,) = migrations.downgrade("base")
    assert (result.from_, result.to, result.applied) == (("one",), (), ("one",))


def test_a_stamp_answers_where_the_database_is_and_runs_nothing(two: Any) -> None:
    (result,) = Migrations(two.config).stamp("one")
    assert (result.from_, result.to, result.applied) == ((), ("one",), ())
    assert two.rows("SELECT version_num FROM alembic_version") == [("one",)]


def test_a_failed_upgrade_is_told_with_what_of_it_is_stored(two: Any, dialect: str) -> None:
    two.add("three", "op.execute('not sql')", after="two")
    ended: list[Any] = []

    def hear(event: Any) -> None:
        if isinstance(event, DatabaseEnded):
            ended.append(event.result)

    with pytest.raises(Exception, match=r"(?i)syntax"):
        Migrations(two.config).upgrade(on_event=hear)
    (result,) = ended
    assert result.failed_at == "three"
    assert "yntax" in str(result.error)
    # On SQLite a run is one transaction.
    stored = () if dialect == "sqlite" else ("one", "two")
    assert result.applied == stored
    assert result.to == stored[-1:]
    assert [each.current for each in Migrations(two.config).current()] == [stored[-1:]]


@pytest.mark.dialects("postgresql")
def test_of_a_relative_destination_what_is_stored_is_told_too(two: Any) -> None:
    two.add("three", "op.execute('not sql')", "op.execute('not sql')", after="two")
    two.add("four", "pass", after="three")
    ended: list[Any] = []

    def hear(event: Any) -> None:
        if isinstance(event, DatabaseEnded):
            ended.append(event.result)

    migrations = Migrations(two.config)
    migrations.upgrade("one")
    with pytest.raises(Exception, match=r"(?i)syntax"):
        migrations.upgrade("+2", on_event=hear)
    migrations.stamp("four")
    with pytest.raises(Exception, match=r"(?i)syntax"):
        migrations.downgrade("-2", on_event=hear)
    up, down = ended
    assert (up.from_, up.to, up.applied, up.failed_at) == (("one",), ("two",), ("two",), "three")
    assert (down.from_, down.to, down.applied) == (("four",), ("three",), ("four",))
    assert down.failed_at == "three"


@pytest.mark.dialects("sqlite")
def test_a_command_inside_another_one_is_refused(two: Any) -> None:
    migrations = Migrations(two.config)
    refused: list[Exception] = []

    def hear(event: Any) -> None:
        with pytest.raises(MigrationError, match="call it afterwards") as caught:
            migrations.current()
        refused.append(caught.value)

    (result,) = migrations.upgrade(on_event=hear)
    assert result.to == ("two",)
    assert len(refused) == 5
    assert migrations.current()[0].is_at_head


@pytest.mark.dialects("sqlite")
def test_a_hook_that_takes_empty_revisions_away(two: Any) -> None:
    """As Alembic's cookbook has it."""

    def hook(_: Any, __: Any, directives: list[Any]) -> None:
        if directives and directives[0].upgrade_ops.is_empty():
            directives[:] = []

    two.metadata = MetaData()
    two.options = {
        "configure_kwargs": {
            "process_revision_directives": hook,
            "include_name": lambda name, *_: name is None,
        }
    }
    migrations = Migrations(two.config)
    migrations.upgrade()
    assert migrations.revision("nothing") is None
    assert migrations.check()[0].differences == ()
    command.revision(two.config, "nothing", autogenerate=True)
    assert len(migrations.history()) == 2


@pytest.mark.dialects("sqlite")
def test_over_a_given_engine_an_empty_revision_is_not_written_either(two: Any) -> None:
    two.metadata = MetaData()
    two.options = {"configure_kwargs": {"include_name": lambda name, *_: name is None}}
    Migrations(two.config).upgrade()
    two.connection = create_async_engine(two.url, poolclass=NullPool)
    assert Migrations(two.config).revision("nothing") is None


@pytest.mark.dialects("sqlite")
def test_a_look_waits_for_no_writer(two: Any, tmp_path: Path) -> None:
    """Nor for a foreign key that SQLite cannot check."""
    migrations = Migrations(two.config)
    migrations.upgrade("one")
    with sqlite3.connect(tmp_path / "database.sqlite", isolation_level=None) as writer:
        writer.execute("CREATE TABLE bad (name TEXT REFERENCES pets (name))")
        writer.execute("INSERT INTO bad VALUES ('Rex')")
        writer.execute("BEGIN IMMEDIATE")
        (state,) = migrations.current()
        writer.execute("ROLLBACK")
    assert (state.error, state.current) == (None, ("one",))
    (result,) = migrations.upgrade()
    assert result.to == ("two",)
    writer.close()


@pytest.mark.dialects("sqlite")
def test_a_database_that_comes_later_is_waited_for(
    two: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "later"
    two.url = f"sqlite+aiosqlite:///{folder / 'app.db'}"
    caplog.set_level(logging.INFO, "hawkapi_sqlalchemy.alembic")
    with pytest.raises(DatabaseUnreachableError):
        Migrations(two.config, wait_for_database=0.3).upgrade()
    assert "waiting for it, up to 0.3 s" in caplog.text
    caplog.clear()

    class Make(logging.Handler):
        """The folder is there once the first look has been in vain."""

        def emit(self, record: logging.LogRecord) -> None:
            folder.mkdir(exist_ok=True)

    logger, handler = logging.getLogger("hawkapi_sqlalchemy.alembic"), Make()
    logger.addHandler(handler)
    two.options = {"wait_for_database": 30.0}
    try:
        (result,) = Migrations(two.config).upgrade()
    finally:
        logger.removeHandler(handler)
    assert result.to == ("two",)


def test_events_tell_how_far_it_is(two: Any) -> None:
    events: list[Any] = []
    (result,) = Migrations(two.config).upgrade(on_event=events.append)
    kinds = [type(each) for each in events]
    assert kinds == [
        DatabaseStarted,
        MigrationsPlanned,
        RevisionApplied,
        RevisionApplied,
        DatabaseEnded,
    ]
    assert events[0] == DatabaseStarted("primary", 0, 1)
    assert events[1] == MigrationsPlanned("primary", ("one", "two"))
    assert [each.revision for each in events[2:4]] == ["one", "two"]
    assert events[4].result is result


def test_the_state_of_a_database_is_told_and_nothing_is_written(two: Any) -> None:
    migrations = Migrations(two.config)
    (state,) = migrations.current()
    assert (state.current, state.pending, state.is_at_head) == ((), ("one", "two"), False)
    tables = two.run(lambda connection: set(connection.dialect.get_table_names(connection)))
    assert tables == set()
    migrations.upgrade("one")
    (state,) = migrations.current()
    assert (state.current, state.pending, state.is_at_head) == (("one",), ("two",), False)
    assert {
        name: [each.revision for each in found] for name, found in migrations.pending().items()
    } == {"primary": ["two"]}
    migrations.upgrade()
    (state,) = migrations.current()
    assert (state.current, state.pending, state.is_at_head) == (("two",), (), True)


def test_a_revision_that_the_scripts_lack_is_told_and_refused(two: Any) -> None:
    migrations = Migrations(two.config)
    migrations.upgrade()
    two.run(
        lambda connection: connection.exec_driver_sql(
            "UPDATE alembic_version SET version_num = 'newer'"
        )
    )
    (state,) = migrations.current()
    assert (state.current, state.unknown, state.is_at_head) == (("newer",), ("newer",), False)
    for move in (migrations.upgrade, lambda: migrations.downgrade("base")):
        with pytest.raises(UnknownDatabaseRevisionError, match=r"'newer'.*stamp --purge"):
            move()
    assert two.rows("SELECT version_num FROM alembic_version") == [("newer",)]
    migrations.stamp(purge=True)
    assert migrations.current()[0].is_at_head


def test_history_and_heads_come_from_the_scripts(two: Any) -> None:
    two.url = "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"
    migrations = Migrations(two.config)
    newest, oldest = migrations.history()
    assert (newest.revision, newest.down_revisions, newest.is_head) == ("two", ("one",), True)
    assert (oldest.revision, oldest.down_revisions, oldest.is_head) == ("one", (), False)
    assert newest.path.name == "two.py"
    assert migrations.heads() == [newest]


@pytest.mark.dialects("postgresql", "mariadb")
def test_sql_is_written_without_a_connection(two: Any) -> None:
    two.url = two.url.rpartition("/")[0].rpartition("@")[0] + "@127.0.0.1:1/nothing"
    migrations = Migrations(two.config)
    assert "CREATE TABLE pets" in migrations.sql()
    text = migrations.sql(start="one")
    assert "CREATE TABLE log" in text
    assert "CREATE TABLE pets" not in text
    assert "DROP TABLE log" in migrations.sql("one", start="two", downgrade=True)
    with pytest.raises(MigrationError, match="needs the revision"):
        migrations.sql("one", downgrade=True)


def test_nothing_is_printed_and_logging_is_left_alone(
    two: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An `env.py` as `alembic init` writes it sets logging up, which disables loggers."""
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        f"[alembic]\nscript_location = {two.folder}\n"
        "[loggers]\nkeys = root\n[handlers]\nkeys =\n[formatters]\nkeys =\n"
        "[logger_root]\nlevel = ERROR\nhandlers =\n"
    )
    env = two.folder / "env.py"
    env.write_text(
        "from logging.config import fileConfig\n"
        "from alembic import context\n"
        "from hawkapi_sqlalchemy.alembic import run_migrations\n"
        "if context.config.config_file_name is not None:\n"
        "    fileConfig(context.config.config_file_name)\n"
        f"run_migrations(None, {two.url!r})\n"
    )
    logger, level = logging.getLogger("mine"), logging.getLogger().level
    migrations = Migrations(ini)
    migrations.upgrade()
    migrations.current()
    migrations.check()
    migrations.history()
    migrations.revision("three", autogenerate=False)
    assert not logger.disabled
    assert logging.getLogger().level == level
    assert capfd.readouterr() == ("", "")


def test_the_configuration_is_given_back_as_it_was(two: Any) -> None:
    config = two.config
    before = (config.stdout, config.output_buffer, dict(config.attributes))
    Migrations(config).upgrade()
    assert (config.stdout, config.output_buffer, dict(config.attributes)) == before
    assert config.stdout.getvalue() == ""
    assert isinstance(config.output_buffer, io.StringIO)


def test_a_url_stands_in_for_that_of_env_py(two: Any, database_url: str) -> None:
    two.url = "sqlite+aiosqlite:////nowhere/at/all.db"
    (result,) = Migrations(two.config, url=database_url).upgrade()
    assert result.to == ("two",)


@pytest.mark.dialects("sqlite")
def test_an_env_py_that_does_not_call_us_is_told(two: Any) -> None:
    (two.folder / "env.py").write_text("")
    for call in (Migrations(two.config).upgrade, Migrations(two.config).current):
        with pytest.raises(MigrationError, match="did not call run_migrations"):
            call()


async def test_commands_can_be_awaited_while_the_loop_goes_on(two: Any) -> None:
    two.add("three", "import time; time.sleep(0.3)", after="two")
    migrations = AsyncMigrations(Migrations(two.config))
    upgrade = asyncio.ensure_future(migrations.upgrade())
    turns = 0
    while not upgrade.done():
        await asyncio.sleep(0.01)  # turns of the loop are what is counted
        turns += 1
    assert turns > 5
    assert (await upgrade)[0].to == ("three",)
    assert (await migrations.current())[0].is_at_head
    with pytest.raises(CommandError, match="nosuch"):
        await migrations.upgrade("nosuch")


def add_one_that_waits(two: Any, folder: Path) -> tuple[Path, Path]:
    """Add a migration that makes the first file, and waits for the second."""
    begun, go_on = folder / "begun", folder / "go_on"
    two.add(
        "three",
        f"""
        import pathlib, time
        pathlib.Path({str(begun)!r}).touch()
        deadline = time.monotonic() + 30
        while not pathlib.Path({str(go_on)!r}).exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        """,
        after="two",
    )
    return begun, go_on


@pytest.mark.dialects("sqlite")
async def test_a_cancelled_upgrade_ends_with_the_database_under_way(
    two: Any, new_database_url: Any, tmp_path: Path
) -> None:
    begun, go_on = add_one_that_waits(two, tmp_path)
    two.url = {"first": new_database_url(), "second": new_database_url()}
    migrations = Migrations(two.config)
    upgrade = asyncio.ensure_future(AsyncMigrations(migrations).upgrade())
    async with asyncio.timeout(30):
        while not begun.exists():  # noqa: ASYNC110  # a migration, in a thread, makes the file
            await asyncio.sleep(0.01)
        upgrade.cancel()
        await asyncio.sleep(0)
        upgrade.cancel()
        go_on.touch()
        with pytest.raises(asyncio.CancelledError):
            await upgrade
    states = {each.database: each.current for each in await AsyncMigrations(migrations).current()}
    assert states == {"first": ("three",), "second": ()}


@pytest.mark.dialects("sqlite")
async def test_another_call_that_is_cancelled_stops_nobody(
    two: Any, new_database_url: Any, tmp_path: Path
) -> None:
    """A health check beside the upgrade, for instance, which waits for its turn."""
    begun, go_on = add_one_that_waits(two, tmp_path)
    two.url = {"first": new_database_url(), "second": new_database_url()}
    migrations = AsyncMigrations(Migrations(two.config))
    upgrade = asyncio.ensure_future(migrations.upgrade())
    async with asyncio.timeout(30):
        while not begun.exists():  # noqa: ASYNC110  # a migration, in a thread, makes the file
            await asyncio.sleep(0.01)
        look = asyncio.ensure_future(migrations.current())
        await asyncio.sleep(0)
        look.cancel()
        go_on.touch()
        with pytest.raises(asyncio.CancelledError):
            await look
        results = await upgrade
    assert [each.to for each in results] == [("three",), ("three",)]


def test_every_command_can_be_awaited() -> None:
    public = {name for name in vars(Migrations) if not name.startswith("_")}
    awaited = {
        name for name, value in vars(AsyncMigrations).items() if inspect.iscoroutinefunction(value)
    }
    assert awaited == public
