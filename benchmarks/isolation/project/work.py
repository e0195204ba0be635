"""What each test does, whatever provides its database."""

from sqlalchemy import select

from models import Thing


async def insert_and_read(session):
    """Insert a row and read all there are: it is alone, or tests are not kept apart."""
    session.add(Thing(name="Ada", city="London"))
    await session.flush()
    session.expunge_all()
    assert [each.name for each in await session.scalars(select(Thing))] == ["Ada"]
