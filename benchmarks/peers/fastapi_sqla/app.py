"""fastapi-sqla on FastAPI, set up as its README shows."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

import structlog
from fastapi import Depends, FastAPI
from pydantic import BaseModel, ConfigDict
from shared.settings import URL
from shared.tables import HUNDRED, EntryColumns, ItemColumns

# It is configured by the environment, when its functions run.
os.environ["SQLALCHEMY_URL"] = URL

from fastapi_sqla import AsyncSession, Base, setup_middlewares, startup
from sqlalchemy import select

# Its own log goes to the terminal, which an application would not leave so either.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))


class Item(ItemColumns, Base):
    """A row that is read."""


class Entry(EntryColumns, Base):
    """A row that is inserted."""


class ItemOut(BaseModel):
    """One row."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    quantity: int
    note: str


class PairOut(BaseModel):
    """Two rows, each found by a dependency of its own."""

    first: ItemOut
    second: ItemOut


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    await startup()
    yield


app = FastAPI(lifespan=lifespan)
setup_middlewares(app)


async def find(session: AsyncSession, item_id: int) -> Item:
    return (await session.execute(select(Item).where(Item.id == item_id))).scalar_one()


async def first(session: AsyncSession) -> Item:
    return await find(session, 1)


async def second(session: AsyncSession) -> Item:
    return await find(session, 2)


@app.get("/nothing")
async def nothing() -> dict[str, bool]:
    return {"ok": True}


@app.get("/items/{item_id}")
async def one_row(item_id: int, session: AsyncSession) -> ItemOut:
    return ItemOut.model_validate(await find(session, item_id))


@app.get("/items")
async def hundred_rows(session: AsyncSession) -> list[ItemOut]:
    rows = await session.scalars(select(Item).order_by(Item.id).limit(HUNDRED))
    return [ItemOut.model_validate(row) for row in rows]


@app.post("/entries", status_code=201)
async def insert(session: AsyncSession) -> dict[str, int]:
    entry = Entry(name="one more", quantity=1)
    session.add(entry)
    await session.flush()
    return {"id": entry.id}


@app.get("/pair")
async def two_dependencies(
    one: Annotated[Item, Depends(first)], other: Annotated[Item, Depends(second)]
) -> PairOut:
    return PairOut(first=ItemOut.model_validate(one), second=ItemOut.model_validate(other))
