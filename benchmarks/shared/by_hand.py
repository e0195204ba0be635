"""HawkAPI with SQLAlchemy and no package between: `async_sessionmaker` in the handler."""

from typing import Annotated, Any

from hawkapi import Depends, HawkAPI
from shared.models import Entry, Item
from shared.structs import EntryOut, ItemOut, NothingOut, PairOut, item_out
from shared.tables import HUNDRED
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine


def create_app(url: str, **engine_options: Any) -> HawkAPI:
    """Make the application.

    Args:
        url: Its database.
        engine_options: For `create_async_engine`, beside the URL.
    """
    app = HawkAPI()
    engine = create_async_engine(url, **engine_options)
    maker = async_sessionmaker(engine, expire_on_commit=False)

    @app.on_shutdown
    async def dispose() -> None:
        await engine.dispose()

    @app.get("/nothing")
    async def nothing() -> NothingOut:
        return NothingOut(ok=True)

    @app.get("/items/{item_id:int}")
    async def one_row(item_id: int) -> ItemOut:
        async with maker() as session:
            return item_out(
                (await session.execute(select(Item).where(Item.id == item_id))).scalar_one()
            )

    @app.get("/items")
    async def hundred_rows() -> list[ItemOut]:
        async with maker() as session:
            rows = await session.scalars(select(Item).order_by(Item.id).limit(HUNDRED))
            return [item_out(row) for row in rows]

    @app.post("/entries")
    async def insert() -> EntryOut:
        async with maker() as session:
            entry = Entry(name="one more", quantity=1)
            session.add(entry)
            await session.commit()
            return EntryOut(entry.id)

    async def find(item_id: int) -> Item:
        async with maker() as session:
            return (await session.execute(select(Item).where(Item.id == item_id))).scalar_one()

    async def first() -> Item:
        return await find(1)

    async def second() -> Item:
        return await find(2)

    @app.get("/pair")
    async def two_dependencies(
        one: Annotated[Item, Depends(first)], other: Annotated[Item, Depends(second)]
    ) -> PairOut:
        return PairOut(item_out(one), item_out(other))

    return app
