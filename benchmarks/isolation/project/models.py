"""A schema of a usual size: forty tables, each with a foreign key to the one before."""

from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, String, Table
from sqlalchemy.orm import DeclarativeBase

TABLES = 40
metadata = MetaData()


def _table(number: int) -> Table:
    name = f"things_{number:02}"
    before = f"things_{number - 1:02}"
    reference = [Column("before_id", Integer, ForeignKey(f"{before}.id"))] if number else []
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(100), nullable=False),
        Column("email", String(254)),
        Column("city", String(100)),
        Column("notes", String(1000)),
        *reference,
        Index(f"ix_{name}_name", "name"),
        Index(f"ix_{name}_city_email", "city", "email"),
    )


_TABLES = [_table(number) for number in range(TABLES)]


class Base(DeclarativeBase):
    metadata = metadata


class Thing(Base):
    __table__ = _TABLES[0]
