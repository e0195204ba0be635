"""Up, down and up again: enums, check constraints, cascades and a rename, with rows kept."""

from enum import Enum
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    String,
    Table,
    TypeDecorator,
    inspect,
    text,
)
from sqlalchemy import Enum as EnumType
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hawkapi_sqlalchemy.alembic import Migrations
from hawkapi_sqlalchemy.mixins.naming import naming_convention


class Mood(Enum):
    CALM = "calm"
    WILD = "wild"


def models(*, renamed: bool = False) -> Any:
    """The models before and after the rename."""

    class Base(DeclarativeBase):
        pass

    Base.metadata.naming_convention = naming_convention()

    class Pet(Base):
        __tablename__ = "pets"
        __table_args__ = (CheckConstraint("legs >= 0", name="legs"),)
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column("title" if renamed else "name", String(50), unique=True)
        legs: Mapped[int]
        mood: Mapped[Mood] = mapped_column(EnumType(Mood, name="mood"))

    class Toy(Base):
        __tablename__ = "toys"
        id: Mapped[int] = mapped_column(primary_key=True)
        pet_id: Mapped[int] = mapped_column(ForeignKey("pets.id", ondelete="CASCADE"))
        state: Mapped[str | None] = mapped_column(EnumType("new", "worn", name="toy_state"))

    return Base.metadata


RENAME = """
with op.batch_alter_table("pets") as pets:
    pets.alter_column({!r}, new_column_name={!r}, existing_type=sa.String(50),
                      existing_nullable=False)
"""


@pytest.fixture
def written(empty_project: Any, database_url: str) -> Any:
    """A project whose first revision autogenerate has written, and a second that renames."""
    empty_project.url = database_url
    empty_project.metadata = models()
    made = Migrations(empty_project.config).revision("first", revision_id="one")
    assert made is not None
    empty_project.add(
        "two", RENAME.format("name", "title"), RENAME.format("title", "name"), after="one"
    )
    return empty_project


def fill(project: Any, column: str) -> None:
    def insert(connection: Any) -> None:
        connection.execute(
            text(f"INSERT INTO pets (id, {column}, legs, mood) VALUES (1, 'Rex', 4, 'WILD')")
        )
        connection.execute(text("INSERT INTO toys (id, pet_id, state) VALUES (1, 1, 'worn')"))

    project.run(insert)


def rows(project: Any, column: str) -> list[tuple[Any, ...]]:
    return [
        *project.rows(f"SELECT id, {column}, legs, mood FROM pets"),
        *project.rows("SELECT id, pet_id, state FROM toys"),
    ]


ROWS = [(1, "Rex", 4, "WILD"), (1, 1, "worn")]


def test_up_down_and_up_again_keeps_the_rows(written: Any) -> None:
    migrations = Migrations(written.config)
    migrations.upgrade("one")
    fill(written, "name")
    migrations.upgrade()
    assert rows(written, "title") == ROWS
    migrations.downgrade("one")
    assert rows(written, "name") == ROWS
    migrations.upgrade()
    assert rows(written, "title") == ROWS
    written.metadata = models(renamed=True)
    (check,) = Migrations(written.config).check()
    assert check.error is None
    assert [each for each in check.differences if "uq_pets" not in each] == []


def test_the_whole_way_down_leaves_nothing_and_up_again_works(written: Any, dialect: str) -> None:
    migrations = Migrations(written.config)
    for _ in range(2):
        migrations.upgrade()
        fill(written, "title")
        migrations.downgrade("base")
        tables = written.run(lambda connection: inspect(connection).get_table_names())
        assert tables == ["alembic_version"]
        if dialect == "postgresql":
            types = written.run(lambda connection: inspect(connection).get_enums())
            assert types == []


def test_constraints_hold_after_the_rename(written: Any, dialect: str) -> None:
    Migrations(written.config).upgrade()
    fill(written, "title")
    for statement in (
        "INSERT INTO pets (id, title, legs, mood) VALUES (2, 'Tom', -1, 'CALM')",
        "INSERT INTO pets (id, title, legs, mood) VALUES (2, 'Rex', 4, 'CALM')",
        "INSERT INTO toys (id, pet_id, state) VALUES (2, 9, 'new')",
    ):
        with pytest.raises(DBAPIError):
            written.run(lambda connection, sql=statement: _with_keys(connection, sql))
    written.run(lambda connection: _with_keys(connection, "DELETE FROM pets WHERE id = 1"))
    assert written.rows("SELECT count(*) FROM toys") == [(0,)]
    names = written.run(
        lambda connection: {
            each["name"] for each in inspect(connection).get_check_constraints("pets")
        }
    )
    assert "ck_pets_legs" in names or dialect == "mariadb"


def _with_keys(connection: Any, statement: str) -> None:
    if connection.dialect.name == "sqlite":
        connection.connection.cursor().execute("PRAGMA foreign_keys=ON")
    connection.execute(text(statement))


def test_the_models_are_left_as_they_are(written: Any) -> None:
    """A program that compares them goes on using them."""
    metadata = written.metadata
    mood = metadata.tables["pets"].c.mood.type
    assert type(mood) is EnumType
    assert mood.enum_class is Mood


def test_a_column_of_a_new_enum_and_one_whose_enum_goes(written: Any, dialect: str) -> None:
    migrations = Migrations(written.config)
    migrations.upgrade()
    fill(written, "title")
    metadata = models(renamed=True)
    toys = metadata.tables["toys"]
    toys.append_column(Column("size", EnumType("small", "large", name="toy_size")))
    toys._columns.remove(toys.c.state)
    written.metadata = metadata
    made = Migrations(written.config).revision("sizes", revision_id="three")
    assert made is not None
    for _ in range(2):
        migrations.upgrade()
        assert enums(written) in ({"mood", "toy_size"}, None)
        assert written.rows("SELECT size FROM toys") == [(None,)]
        migrations.downgrade("two")
        assert enums(written) in ({"mood", "toy_state"}, None)
    assert (enums(written) is not None) == (dialect == "postgresql")


@pytest.mark.dialects("postgresql")
def test_a_type_that_a_table_without_a_model_uses_is_kept(written: Any) -> None:
    migrations = Migrations(written.config)
    migrations.upgrade()
    written.run(
        lambda connection: connection.exec_driver_sql("CREATE TABLE others (state toy_state)")
    )
    metadata = models(renamed=True)
    metadata.remove(metadata.tables["toys"])
    written.metadata = metadata
    written.options = {"configure_kwargs": {"include_name": lambda name, kind, _: name != "others"}}
    assert Migrations(written.config).revision("no toys", revision_id="three") is not None
    migrations.upgrade()
    assert enums(written) == {"mood", "toy_state"}


@pytest.mark.dialects("postgresql", "mariadb")
def test_sql_of_it_is_written_without_a_connection(written: Any, dialect: str) -> None:
    migrations = Migrations(written.config)
    down = migrations.sql("base", start="one", downgrade=True)
    assert ("DROP TYPE toy_state" in down) == (dialect == "postgresql")
    assert "DROP TABLE toys" in down


def enums(project: Any) -> set[str] | None:
    """The ENUM types of the database, or `None` where there are no such types."""

    def look(connection: Any) -> set[str] | None:
        if connection.dialect.name != "postgresql":
            return None
        return {each["name"] for each in inspect(connection).get_enums()}

    return project.run(look)


def test_a_table_that_uses_a_type_which_is_there(written: Any) -> None:
    """Made by an earlier run: SQLAlchemy remembers those of the same run alone."""
    Migrations(written.config).upgrade()
    metadata = models(renamed=True)
    Table("moods", metadata, Column("mood", EnumType(Mood, name="mood")))
    Table("shared", metadata, Column("tag", Tag()))
    written.metadata = metadata
    written.options = {
        "configure_kwargs": {
            "render_item": lambda _, item, __: repr(item) if isinstance(item, Tag) else False
        }
    }
    migrations = Migrations(written.config)
    made = migrations.revision("moods", revision_id="three")
    assert made is not None
    for _ in range(2):
        migrations.upgrade()
        assert enums(written) in ({"mood", "toy_state", "tag"}, None)
        migrations.downgrade("two")
        assert enums(written) in ({"mood", "toy_state"}, None)
    migrations.downgrade("base")
    assert enums(written) in (set(), None)
    migrations.upgrade()


class Tag(TypeDecorator[str]):
    """An ENUM below a type of the application's own."""

    impl = EnumType("red", "blue", name="tag")
    cache_ok = True

    def __repr__(self) -> str:
        return "sa.Enum('red', 'blue', name='tag')"
