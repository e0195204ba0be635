"""The tables on a plain declarative base, for the peers that bring none."""

from shared.tables import EntryColumns, ItemColumns
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    """The base."""


class Item(ItemColumns, Base):
    """A row that is read."""


class Entry(EntryColumns, Base):
    """A row that is inserted."""
