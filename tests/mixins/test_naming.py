"""The names of constraints that models leave unnamed."""

import pytest
from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, UniqueConstraint
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

from hawkapi_sqlalchemy.mixins import Base, DataclassBase
from hawkapi_sqlalchemy.mixins.naming import naming_convention


class Farm(Base):
    __tablename__ = "named_farms"
    id: Mapped[int] = mapped_column(primary_key=True)


class Hen(Base):
    __tablename__ = "named_hens"
    id: Mapped[int] = mapped_column(primary_key=True)
    farm_id: Mapped[int] = mapped_column(ForeignKey("named_farms.id"), index=True)
    ring: Mapped[int] = mapped_column(unique=True)
    eggs: Mapped[int]
    __table_args__ = (
        UniqueConstraint("farm_id", "ring"),
        Index(None, "farm_id", "eggs"),
        CheckConstraint("eggs >= 0", name="eggs_counted"),
        CheckConstraint("ring > 0"),
    )


def test_every_constraint_has_a_name_that_tells_its_table_and_columns():
    names = {str(constraint.name) for constraint in Hen.__table__.constraints}
    names |= {str(index.name) for index in Hen.__table__.indexes}
    unnamed_check = {each for each in names if each.startswith("ck_named_hens_")} - {
        "ck_named_hens_eggs_counted"
    }
    assert len(unnamed_check) == 1
    assert names - unnamed_check == {
        "pk_named_hens",
        "fk_named_hens_farm_id_named_farms",
        "ix_named_hens_farm_id",
        "ix_named_hens_farm_id_eggs",
        "uq_named_hens_ring",
        "uq_named_hens_farm_id_ring",
        "ck_named_hens_eggs_counted",
    }


def test_an_unnamed_check_keeps_its_name_from_one_run_to_the_next():
    """The name stands in migrations, so it must not change by itself."""
    names = [str(constraint.name) for constraint in Hen.__table__.constraints]
    assert "ck_named_hens_6a1da7fc6d" in names


async def test_the_tables_can_be_created_under_these_names(database_url):
    engine = create_async_engine(database_url)
    tables = [Farm.__table__, Hen.__table__]
    try:
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync: Base.metadata.create_all(sync, tables))
            reflected = MetaData()
            await connection.run_sync(lambda sync: reflected.reflect(sync, only=["named_hens"]))
    finally:
        await engine.dispose()
    names = {constraint.name for constraint in reflected.tables["named_hens"].constraints}
    assert "fk_named_hens_farm_id_named_farms" in names


@pytest.mark.parametrize("base", [Base, DataclassBase])
def test_both_bases_follow_the_convention_in_metadata_of_their_own(base):
    assert base.metadata.naming_convention["pk"] == naming_convention()["pk"]
    assert Base.metadata is not DataclassBase.metadata
