"""This tree's packages, with the defaults of `DatabaseConfig`."""

from typing import Annotated

from hawkapi import Depends, HawkAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy import Base, get_replica_session, get_session, init_database
from shared.settings import URL
from shared.structs import EntryOut, ItemOut, NothingOut, PairOut, item_out
from shared.tables import HUNDRED, EntryColumns, ItemColumns


class Item(ItemColumns, Base):
    """A row that is read."""


class Entry(EntryColumns, Base):
    """A row that is inserted."""


Session = Annotated[AsyncSession, Depends(get_session)]
ReadSession = Annotated[AsyncSession, Depends(get_replica_session)]

app = HawkAPI()
init_database(app, url=URL)


async def find(session: AsyncSession, item_id: int) -> Item:
    return (await session.execute(select(Item).where(Item.id == item_id))).scalar_one()


async def first(session: Session) -> Item:
    return await find(session, 1)


async def second(session: Session) -> Item:
    return await find(session, 2)


@app.get("/nothing")
async def nothing() -> NothingOut:
    return NothingOut(ok=True)


@app.get("/items/{item_id:int}")
async def one_row(item_id: int, session: Session) -> ItemOut:
    return item_out((await session.execute(select(Item).where(Item.id == item_id))).scalar_one())


@app.get("/read-only/{item_id:int}")
async def one_row_read_only(item_id: int, session: ReadSession) -> ItemOut:
    return item_out((await session.execute(select(Item).where(Item.id == item_id))).scalar_one())


@app.get("/items")
async def hundred_rows(session: Session) -> list[ItemOut]:
    rows = await session.scalars(select(Item).order_by(Item.id).limit(HUNDRED))
    return [item_out(row) for row in rows]


@app.post("/entries")
async def insert(session: Session) -> EntryOut:
    entry = Entry(name="one more", quantity=1)
    session.add(entry)
    await session.flush()
    return EntryOut(entry.id)


@app.get("/pair")
async def two_dependencies(
    one: Annotated[Item, Depends(first)], other: Annotated[Item, Depends(second)]
) -> PairOut:
    return PairOut(item_out(one), item_out(other))
