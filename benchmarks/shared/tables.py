"""The two tables, as mixins: each peer has a declarative base of its own."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

HUNDRED = 100


class ItemColumns:
    """What is read. Nothing writes to it."""

    __tablename__ = "items"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    quantity: Mapped[int]
    note: Mapped[str] = mapped_column(String(200))


class EntryColumns:
    """What is inserted into. It is emptied between measurements."""

    __tablename__ = "entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    quantity: Mapped[int]
