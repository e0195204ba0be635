"""Tables with relationships, and what is stored in them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.ext.asyncio import AsyncAttrs
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from hawkapi_sqlalchemy.core import Database


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "authors"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    books: Mapped[list[Book]] = relationship(back_populates="author")


class Book(Base):
    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    author_id: Mapped[int] = mapped_column(ForeignKey("authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")


COUNT = select(func.count()).select_from(Author)
NAMES = select(Author.name).order_by(Author.id)


async def stock(database: Database) -> None:
    """Store three authors with two books each; their keys begin with 1."""
    async with database.session() as session:
        for number in range(1, 4):
            author = Author(name=f"author {number}")
            session.add(author)
            await session.flush()
            for book in (2 * number - 1, 2 * number):
                session.add(Book(title=f"book {book}", author_id=author.id))
                await session.flush()
