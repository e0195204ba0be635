"""Several databases in one command: the canary, failures by name, and what is left for later."""

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Column, Integer, MetaData, String, Table

from hawkapi_sqlalchemy.alembic import (
    DatabasesFailedError,
    DatabaseUnreachableError,
    DriverNotInstalledError,
    MigrationError,
    Migrations,
    SchemaDifferenceError,
)

FAILS_WHERE_BROKEN = """
if sa.inspect(op.get_bind()).has_table("broken"):
    raise RuntimeError("this one is broken")
op.create_table("toys", sa.Column("id", sa.Integer, primary_key=True))
"""
UNREACHABLE = {
    "sqlite": "sqlite+aiosqlite:////nowhere/at/all.db",
    "postgresql": "postgresql+asyncpg://app:secret@127.0.0.1:1/app",
    "mariadb": "mariadb+aiomysql://app:secret@127.0.0.1:1/app",
}


def spoil(project: Any, name: str) -> None:
    """Make the migration fail on one database."""
    urls, project.url = project.url, project.url[name]
    project.run(lambda connection: connection.exec_driver_sql("CREATE TABLE broken (id INTEGER)"))
    project.url = urls


def mend(project: Any, name: str) -> None:
    urls, project.url = project.url, project.url[name]
    project.run(lambda connection: connection.exec_driver_sql("DROP TABLE broken"))
    project.url = urls


def places(project: Any) -> dict[str, tuple[str, ...]]:
    return {each.database: each.current for each in Migrations(project.config).current()}


@pytest.fixture
def shards(project: Any, new_database_url: Any) -> Any:
    """A project of two revisions on four databases."""
    project.add("two", FAILS_WHERE_BROKEN, 'op.drop_table("toys")', after="one")
    project.url = {f"shard_{number}": new_database_url() for number in range(4)}
    return project


@pytest.mark.timeout(180)
def test_of_32_databases_one_is_broken_and_a_second_run_finishes(
    project: Any, new_database_url: Any
) -> None:
    project.add("two", FAILS_WHERE_BROKEN, after="one")
    project.url = {f"shard_{number:02}": new_database_url() for number in range(32)}
    spoil(project, "shard_17")

    with pytest.raises(DatabasesFailedError) as caught:
        Migrations(project.config).upgrade()
    results = {each.database: each for each in caught.value.results}
    assert len(results) == 32
    assert [name for name, each in results.items() if each.error is not None] == ["shard_17"]
    assert caught.value.not_attempted == ()
    assert results["shard_17"].failed_at == "two"
    assert "1 of 32 databases failed" in str(caught.value)
    assert "shard_17: revision two: RuntimeError: this one is broken" in str(caught.value)
    assert {name for name, at in places(project).items() if at == ("two",)} == {
        name for name in project.url if name != "shard_17"
    }

    mend(project, "shard_17")
    again = Migrations(project.config).upgrade()
    assert {each.database for each in again if each.applied} == {"shard_17"}
    assert set(places(project).values()) == {("two",)}


def test_where_the_canary_fails_the_others_are_left_as_they_are(shards: Any) -> None:
    spoil(shards, "shard_0")
    with pytest.raises(DatabasesFailedError) as caught:
        Migrations(shards.config).upgrade()
    assert [each.database for each in caught.value.results] == ["shard_0"]
    assert caught.value.not_attempted == ("shard_1", "shard_2", "shard_3")
    assert "not attempted after that: shard_1, shard_2, shard_3" in str(caught.value)
    others = {name: at for name, at in places(shards).items() if name != "shard_0"}
    assert set(others.values()) == {()}


def test_an_unreachable_database_is_no_canary_and_hides_its_password(
    shards: Any, dialect: str
) -> None:
    shards.url = {**shards.url, "shard_0": UNREACHABLE[dialect]}
    with pytest.raises(DatabasesFailedError) as caught:
        Migrations(shards.config).upgrade()
    results = {each.database: each for each in caught.value.results}
    assert isinstance(results["shard_0"].error, DatabaseUnreachableError)
    assert [name for name, each in results.items() if each.to == ("two",)] == [
        "shard_1",
        "shard_2",
        "shard_3",
    ]
    assert "secret" not in str(caught.value)
    assert ("127.0.0.1:1" if dialect != "sqlite" else "/nowhere/at/all.db") in str(caught.value)


def test_one_that_is_up_to_date_proves_the_migrations_for_the_rest(shards: Any) -> None:
    """So a second run does not end at what was left by the first."""
    spoil(shards, "shard_1")
    Migrations(shards.config, databases=["shard_0"]).upgrade()
    with pytest.raises(DatabasesFailedError) as caught:
        Migrations(shards.config).upgrade()
    assert caught.value.not_attempted == ()
    assert places(shards) == {
        "shard_0": ("two",),
        "shard_1": ("one",) if "sqlite" not in shards.url["shard_1"] else (),
        "shard_2": ("two",),
        "shard_3": ("two",),
    }


def test_a_canary_can_be_named(shards: Any) -> None:
    spoil(shards, "shard_2")
    with pytest.raises(DatabasesFailedError) as caught:
        Migrations(shards.config, canary="shard_2").upgrade()
    assert [each.database for each in caught.value.results] == ["shard_2"]
    shards.options = {"canary": "shard_2"}
    with pytest.raises(DatabasesFailedError) as caught:
        Migrations(shards.config).upgrade()
    assert [each.database for each in caught.value.results] == ["shard_2"]


def test_some_of_them_can_be_chosen(shards: Any) -> None:
    shards.options = {"canary": "shard_0"}
    results = Migrations(shards.config, databases=["shard_3", "shard_1"]).upgrade()
    assert [each.database for each in results] == ["shard_1", "shard_3"]
    assert places(shards)["shard_0"] == ()


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("chosen", [{"databases": ["shard_9"]}, {"canary": "shard_9"}])
def test_a_name_that_is_none_is_refused_with_those_there_are(shards: Any, chosen: Any) -> None:
    with pytest.raises(MigrationError, match="no database 'shard_9'; there are 'shard_0', "):
        Migrations(shards.config, **chosen).upgrade()


@pytest.mark.dialects("sqlite")
def test_a_canary_of_env_py_is_passed_over_where_it_is_not_wanted(
    shards: Any, new_database_url: Any
) -> None:
    shards.options = {"canary": "shard_0"}
    (state,) = Migrations(shards.config, databases=["shard_1"]).current()
    assert state.database == "shard_1"
    (state,) = Migrations(shards.config, url=new_database_url()).current()
    assert state.database == "primary"
    with pytest.raises(MigrationError, match="not among the databases that were chosen"):
        Migrations(shards.config, databases=["shard_1"], canary="shard_0").current()


@pytest.mark.dialects("mariadb")
def test_databases_of_several_kinds_each_keep_their_own_transactions(
    project: Any, tmp_path: Path
) -> None:
    """MariaDB commits each change of a table, so what goes with it must be committed too."""
    project.add(
        "two",
        """
        if op.get_bind().dialect.name != "sqlite":
            raise RuntimeError("no")
        """,
        after="one",
    )
    project.url = {"lite": f"sqlite+aiosqlite:///{tmp_path / 'lite.db'}", "maria": project.url}
    with pytest.raises(DatabasesFailedError, match="maria: revision two: RuntimeError: no"):
        Migrations(project.config).upgrade()
    assert places(project) == {"lite": ("two",), "maria": ("one",)}


@pytest.mark.dialects("sqlite")
def test_no_database_at_all_is_refused(shards: Any) -> None:
    shards.url = {}
    with pytest.raises(MigrationError, match="empty"):
        Migrations(shards.config).upgrade()


@pytest.mark.dialects("sqlite")
def test_a_missing_driver_is_told_before_anything_is_touched(shards: Any) -> None:
    shards.url = {**shards.url, "shard_3": "oracle+oracledb://app@127.0.0.1:1/app"}
    with pytest.raises(DriverNotInstalledError, match="oracledb"):
        Migrations(shards.config).upgrade()
    shards.url.pop("shard_3")
    assert set(places(shards).values()) == {()}


def test_alembics_own_commands_go_to_all_of_them(shards: Any) -> None:
    shards.upgrade()
    assert set(places(shards).values()) == {("two",)}
    config = shards.config
    command.current(config)
    assert config.stdout.getvalue().splitlines() == [
        line for name in shards.url for line in (f"{name}:", "two (head)")
    ]
    spoil(shards, "shard_2")
    command.downgrade(shards.config, "one")
    with pytest.raises(DatabasesFailedError, match="shard_2: revision two: "):
        shards.upgrade()
    assert set(places(shards).values()) == {("one",), ("two",)}


PETS = MetaData()
Table("pets", PETS, Column("id", Integer, primary_key=True), Column("name", String(50)))
Table("toys", PETS, Column("id", Integer, primary_key=True))


@pytest.fixture
def drifted(shards: Any) -> Any:
    """All are at the newest revision; one has a column more."""
    Migrations(shards.config).upgrade()
    shards.metadata = PETS
    urls, shards.url = shards.url, shards.url["shard_2"]
    shards.run(
        lambda connection: connection.exec_driver_sql("ALTER TABLE pets ADD COLUMN age INTEGER")
    )
    shards.url = urls
    return shards


def test_a_check_names_the_database_that_differs(drifted: Any) -> None:
    checks = {each.database: each for each in Migrations(drifted.config).check()}
    assert checks["shard_2"].differences == ("remove column pets.age",)
    assert all(not each.differences for name, each in checks.items() if name != "shard_2")
    assert all(each.error is None for each in checks.values())


def test_a_check_of_one_that_is_behind_says_so(drifted: Any) -> None:
    Migrations(drifted.config, databases=["shard_1"]).downgrade("one")
    checks = {each.database: each for each in Migrations(drifted.config).check()}
    assert "is at one, and not at the newest one, two" in str(checks["shard_1"].error)
    assert checks["shard_2"].differences == ("remove column pets.age",)


def test_alembics_own_check_names_it_too(drifted: Any) -> None:
    config = drifted.config
    config.cmd_opts = _Options(command.check)
    with pytest.raises(SchemaDifferenceError, match=r"shard_2: remove column pets\.age"):
        command.check(config)


class _Options:
    """What Alembic's command line leaves in the configuration."""

    x = None

    def __init__(self, function: Any) -> None:
        self.cmd = (function, [], [])


def test_a_revision_is_not_written_for_databases_that_differ(drifted: Any) -> None:
    with pytest.raises(MigrationError, match=r"(?s)same schema.*shard_2: remove column pets\.age"):
        Migrations(drifted.config).revision("drop age")
    assert len(Migrations(drifted.config).history()) == 2


def test_one_revision_is_written_for_what_all_lack(shards: Any) -> None:
    Migrations(shards.config).upgrade()
    shards.metadata = MetaData()
    for table in PETS.tables.values():
        table.to_metadata(shards.metadata)
    Table("owners", shards.metadata, Column("id", Integer, primary_key=True))
    made = Migrations(shards.config).revision("owners")
    assert made is not None
    assert made.path.read_text().count("create_table('owners'") == 1
    assert all(each.applied for each in Migrations(shards.config).upgrade())
    assert Migrations(shards.config).revision("nothing") is None
    assert len(Migrations(shards.config).history()) == 3


@pytest.mark.dialects("sqlite")
def test_sql_of_databases_of_several_kinds_needs_a_choice(shards: Any) -> None:
    shards.add("two", LOG_ONLY, after="one")
    shards.url = {"here": shards.url["shard_0"], "there": UNREACHABLE["postgresql"]}
    with pytest.raises(MigrationError, match=r"several kinds.*here, there"):
        Migrations(shards.config).sql()
    assert "SERIAL" in Migrations(shards.config, databases=["there"]).sql()


LOG_ONLY = 'op.create_table("log", sa.Column("id", sa.Integer, primary_key=True))'
