"""Advanced Alchemy on Starlette, committing by itself as its documentation shows."""

from advanced_alchemy.extensions.starlette import (
    AdvancedAlchemy,
    AsyncSessionConfig,
    SQLAlchemyAsyncConfig,
)
from shared.models import Entry, Item
from shared.settings import URL
from shared.tables import HUNDRED
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def shown(item: Item) -> dict[str, object]:
    return {"id": item.id, "name": item.name, "quantity": item.quantity, "note": item.note}


async def find(session: AsyncSession, item_id: int) -> Item:
    return (await session.execute(select(Item).where(Item.id == item_id))).scalar_one()


async def nothing(_request: Request) -> JSONResponse:
    return JSONResponse({"ok": True})


async def one_row(request: Request) -> JSONResponse:
    session = alchemy.get_async_session(request)
    return JSONResponse(shown(await find(session, request.path_params["item_id"])))


async def hundred_rows(request: Request) -> JSONResponse:
    session = alchemy.get_async_session(request)
    rows = await session.scalars(select(Item).order_by(Item.id).limit(HUNDRED))
    return JSONResponse([shown(row) for row in rows])


async def insert(request: Request) -> JSONResponse:
    session = alchemy.get_async_session(request)
    entry = Entry(name="one more", quantity=1)
    session.add(entry)
    await session.flush()
    return JSONResponse({"id": entry.id}, status_code=201)


async def first(request: Request) -> Item:
    return await find(alchemy.get_async_session(request), 1)


async def second(request: Request) -> Item:
    return await find(alchemy.get_async_session(request), 2)


async def two_dependencies(request: Request) -> JSONResponse:
    # Starlette has no dependencies: two functions that each ask for the request's session.
    one, other = await first(request), await second(request)
    return JSONResponse({"first": shown(one), "second": shown(other)})


app = Starlette(
    routes=[
        Route("/nothing", nothing),
        Route("/items/{item_id:int}", one_row),
        Route("/items", hundred_rows),
        Route("/entries", insert, methods=["POST"]),
        Route("/pair", two_dependencies),
    ]
)
alchemy = AdvancedAlchemy(
    config=SQLAlchemyAsyncConfig(
        connection_string=URL,
        commit_mode="autocommit",
        session_config=AsyncSessionConfig(expire_on_commit=False),
    ),
    app=app,
)
