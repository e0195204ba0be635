"""SQLite: foreign keys during a migration."""

from collections.abc import Iterator
from typing import Any

import pytest
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.pool import StaticPool

from hawkapi_sqlalchemy.alembic import ForeignKeyViolationError, MigrationError

FAMILY = """
op.create_table("parents", sa.Column("id", sa.Integer, primary_key=True))
op.create_table(
    "children",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("parent_id", sa.Integer, sa.ForeignKey("parents.id", ondelete="CASCADE")),
)
op.execute("INSERT INTO parents VALUES (1)")
op.execute("INSERT INTO children VALUES (10, 1)")
"""

CHANGE_PARENT = """
with op.batch_alter_table("parents", recreate="always") as batch:
    batch.add_column(sa.Column("name", sa.String))
"""


@pytest.fixture
def family(empty_project: Any) -> Any:
    """A migrated database with a row that refers to another with ON DELETE CASCADE."""
    empty_project.add("one", FAMILY)
    empty_project.upgrade()
    return empty_project


@pytest.fixture(params=[None, "pysqlite", "given"])
def with_foreign_keys(request: pytest.FixtureRequest, family: Any) -> Iterator[Any]:
    """The project, on connections that have foreign keys on, as many applications set them."""

    def switch_on(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    sync_url = make_url(family.url).set(drivername="sqlite")
    engine = create_engine(sync_url, poolclass=StaticPool)
    event.listen(Engine, "connect", switch_on)
    try:
        if request.param == "given":
            family.connection = engine
        elif request.param:
            family.url = make_url(family.url).set(drivername=f"sqlite+{request.param}")
        yield family
    finally:
        event.remove(Engine, "connect", switch_on)
        family.url = make_url(family.url).set(drivername="sqlite+aiosqlite")
        engine.dispose()


def test_changing_a_parent_keeps_the_rows_that_refer_to_it(with_foreign_keys):
    with_foreign_keys.add("two", CHANGE_PARENT, after="one")
    with_foreign_keys.upgrade()
    with_foreign_keys.url = make_url(with_foreign_keys.url).set(drivername="sqlite+aiosqlite")
    assert with_foreign_keys.rows("SELECT * FROM children") == [(10, 1)]
    assert with_foreign_keys.rows("SELECT * FROM parents") == [(1, None)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_given_connection_gets_its_foreign_keys_back(family, fails):
    family.add(
        "two", 'op.execute("INSERT INTO nowhere VALUES (1)")' if fails else "pass", after="one"
    )
    engine = create_engine(make_url(family.url).set(drivername="sqlite"))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        connection.rollback()
        family.connection = connection
        if fails:
            with pytest.raises(Exception, match="nowhere"):
                family.upgrade()
        else:
            family.upgrade()
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_foreign_keys_come_back_after_an_error_between_migrations(family):
    """Alembic has read its table by then, in a transaction that it leaves open."""
    engine = create_engine(
        make_url(family.url).set(drivername="sqlite"), connect_args={"isolation_level": None}
    )
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    with engine.connect() as connection:
        connection.connection.execute("PRAGMA foreign_keys=ON")
        family.connection = connection
        with pytest.raises(CommandError, match="nope"):
            family.upgrade("nope")
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    engine.dispose()


def test_a_migration_that_breaks_references_is_named_and_rolled_back(family):
    family.add("two", 'op.execute("DELETE FROM parents")', after="one")
    with pytest.raises(ForeignKeyViolationError, match="1 of 'children' to 'parents'") as caught:
        family.upgrade()
    assert caught.value.violations == {("children", "parents"): 1}
    assert family.rows("SELECT id FROM parents") == [(1,)]
    assert family.rows("SELECT version_num FROM alembic_version") == [("one",)]


def test_references_that_were_broken_before_do_not_stop_a_migration(family):
    family.rows("INSERT INTO children VALUES (11, 99) RETURNING id")
    family.add("two", CHANGE_PARENT, after="one")
    family.upgrade()
    assert family.rows("SELECT version_num FROM alembic_version") == [("two",)]


def test_a_connection_whose_foreign_keys_cannot_be_switched_is_refused(family):
    family.add("two", CHANGE_PARENT, after="one")
    engine = create_engine(make_url(family.url).set(drivername="sqlite"))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        family.connection = connection
        with pytest.raises(MigrationError, match="before its transaction begins"):
            family.upgrade()
    engine.dispose()
    assert family.rows("SELECT * FROM children") == [(10, 1)]
