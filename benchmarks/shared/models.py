"""The tables on a plain declarative base, for the peers that bring none."""

from sqlalchemy.orm import DeclarativeBase

from shared.tables import EntryColumns, ItemColumns


class Base(DeclarativeBase):
    """The base."""


class Item(ItemColumns, Base):
    """A row that is read."""


class Entry(EntryColumns, Base):
    """A row that is inserted."""
