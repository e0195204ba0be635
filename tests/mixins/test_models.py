"""The mixins in every declarative style and every order of base classes."""

import dataclasses
import itertools
from typing import Any
from uuid import UUID

import msgspec
import pytest
from sqlalchemy import MetaData, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column, registry

from hawkapi_sqlalchemy.mixins import Base, DataclassBase, TimestampMixin, UUIDMixin


class ForeignDataclassBase(MappedAsDataclass, DeclarativeBase):
    """A dataclass-style base that is not ours."""


STYLES = [Base, DataclassBase, ForeignDataclassBase]


def make_model(style: type[Any], order: tuple[int, ...]) -> type[Any]:
    bases = (style, UUIDMixin, TimestampMixin)
    suffix = "".join(map(str, order))
    return type(
        f"{style.__name__}Doc{suffix}",
        tuple(bases[position] for position in order),
        {
            "__module__": __name__,
            "__tablename__": f"mixed_docs_{suffix}",
            "__annotations__": {"title": Mapped[str]},
        },
    )


MODELS = [
    make_model(style, order) for style in STYLES for order in itertools.permutations(range(3))
]
DATACLASS_MODELS = [model for model in MODELS if not issubclass(model, Base)]


def name(value: Any) -> str:
    return value.__name__


@pytest.mark.parametrize("model", MODELS, ids=name)
def test_the_key_is_the_first_column_and_the_timestamps_are_the_last(model):
    assert [column.name for column in model.__table__.columns] == [
        "id",
        "title",
        "created_at",
        "updated_at",
    ]
    assert [column.name for column in inspect(model).primary_key] == ["id"]


@pytest.mark.parametrize("model", MODELS, ids=name)
async def test_a_model_is_made_from_its_own_fields_and_stored_with_those_of_the_mixins(model):
    engine = create_async_engine("sqlite+aiosqlite://")
    try:
        async with engine.begin() as connection:
            await connection.run_sync(model.__table__.create)
        async with AsyncSession(engine) as session:
            doc = model(title="plans")
            session.add(doc)
            await session.flush()
            assert UUID(doc.id).version == 4
            assert doc.created_at == doc.updated_at
            key = doc.id
            await session.commit()
        async with AsyncSession(engine) as session:
            assert (await session.get_one(model, key)).title == "plans"
    finally:
        await engine.dispose()


@pytest.mark.parametrize("model", DATACLASS_MODELS, ids=name)
def test_a_dataclass_style_model_has_the_columns_of_the_mixins_as_fields(model):
    fields = {field.name: field.init for field in dataclasses.fields(model)}
    assert fields == {"title": True, "id": False, "created_at": False, "updated_at": False}


@pytest.mark.parametrize("model", DATACLASS_MODELS, ids=name)
def test_a_dataclass_style_model_has_its_key_as_soon_as_it_is_made(model):
    first, second = model("a"), model("a")
    assert UUID(first.id).version == 4
    assert first.id != second.id


@pytest.mark.parametrize("model", DATACLASS_MODELS, ids=name)
def test_msgspec_encodes_the_key_of_a_dataclass_style_model(model):
    doc = model("a")
    assert msgspec.json.decode(msgspec.json.encode(doc))["id"] == doc.id


@pytest.mark.parametrize("model", [m for m in MODELS if issubclass(m, Base)], ids=name)
def test_the_mixins_leave_a_plain_model_a_plain_class(model):
    doc = model(title="a", id="given")
    assert doc.id == "given"
    assert not dataclasses.is_dataclass(model)
    assert not dataclasses.is_dataclass(doc)
    # msgspec would write a dataclass without fields as an empty object.
    with pytest.raises(TypeError, match="unsupported"):
        msgspec.json.encode(doc)


def test_the_decorator_style_takes_the_mixins():
    @registry().mapped_as_dataclass
    class Decorated(UUIDMixin, TimestampMixin):
        __tablename__ = "decorated"
        title: Mapped[str]

    assert UUID(Decorated("a").id).version == 4


def test_a_model_may_declare_a_column_of_a_mixin_itself():
    class Numbered(Base, UUIDMixin):
        __tablename__ = "mixed_numbered"
        id: Mapped[str] = mapped_column(primary_key=True, default=lambda: "mine")

    assert Numbered.__table__.c.id.default.arg(None) == "mine"


def test_a_mixin_may_build_on_the_mixins():
    class Audited(TimestampMixin):
        pass

    class Ledger(DataclassBase, Audited):
        __tablename__ = "mixed_ledgers"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert set(Ledger.__table__.c.keys()) == {"id", "created_at", "updated_at"}


@pytest.mark.parametrize("model", MODELS, ids=name)
async def test_an_insert_past_the_session_gets_a_key_too(model):
    engine = create_async_engine("sqlite+aiosqlite://")
    try:
        async with engine.begin() as connection:
            await connection.run_sync(model.__table__.create)
            await connection.execute(insert(model).values(title="a"))
            assert UUID(await connection.scalar(select(model.__table__.c.id))).version == 4
    finally:
        await engine.dispose()


async def test_text_without_a_length_can_be_stored_and_be_unique(database_url: str) -> None:
    """MariaDB and MySQL would refuse a VARCHAR without a length."""

    class Fresh(DeclarativeBase):
        metadata = MetaData()
        type_annotation_map = Base.type_annotation_map

    class Label(Fresh):
        __tablename__ = "labels"

        text: Mapped[str] = mapped_column(unique=True, primary_key=True)

    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(Fresh.metadata.create_all)
        await connection.execute(insert(Label).values(text="x" * 255))
        stored = await connection.scalar(select(Label.text))
    await engine.dispose()
    assert stored == "x" * 255
    assert DataclassBase.type_annotation_map == Base.type_annotation_map
