"""Advanced Alchemy on Litestar, committing by itself as its documentation shows."""

from advanced_alchemy.extensions.litestar import (
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
    SQLAlchemyPlugin,
)
from litestar import Litestar, get, post
from litestar.di import Provide
from shared.models import Entry, Item
from shared.settings import URL
from shared.structs import EntryOut, ItemOut, NothingOut, PairOut, item_out
from shared.tables import HUNDRED
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession


async def find(session: AsyncSession, item_id: int) -> Item:
    return (await session.execute(select(Item).where(Item.id == item_id))).scalar_one()


async def first(db_session: AsyncSession) -> Item:
    return await find(db_session, 1)


async def second(db_session: AsyncSession) -> Item:
    return await find(db_session, 2)


@get("/nothing")
async def nothing() -> NothingOut:
    return NothingOut(ok=True)


@get("/items/{item_id:int}")
async def one_row(item_id: int, db_session: AsyncSession) -> ItemOut:
    return item_out(await find(db_session, item_id))


@get("/items")
async def hundred_rows(db_session: AsyncSession) -> list[ItemOut]:
    rows = await db_session.scalars(select(Item).order_by(Item.id).limit(HUNDRED))
    return [item_out(row) for row in rows]


@post("/entries")
async def insert(db_session: AsyncSession) -> EntryOut:
    entry = Entry(name="one more", quantity=1)
    db_session.add(entry)
    await db_session.flush()
    return EntryOut(entry.id)


@get("/pair", dependencies={"one": Provide(first), "other": Provide(second)})
async def two_dependencies(one: Item, other: Item) -> PairOut:
    return PairOut(item_out(one), item_out(other))


alchemy = SQLAlchemyPlugin(
    config=SQLAlchemyAsyncConfig(
        connection_string=URL,
        before_send_handler="autocommit",
        session_config=AsyncSessionConfig(expire_on_commit=False),
    )
)
app = Litestar([nothing, one_row, hundred_rows, insert, two_dependencies], plugins=[alchemy])
