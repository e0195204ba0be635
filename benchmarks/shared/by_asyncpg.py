"""HawkAPI with asyncpg and no SQLAlchemy: the pool and the SQL by hand."""

from typing import Annotated, Any

import asyncpg
from hawkapi import Depends, HawkAPI
from shared.structs import EntryOut, ItemOut, NothingOut, PairOut, item_out
from shared.tables import HUNDRED

_COLUMNS = "SELECT id, name, quantity, note FROM items"
_ONE = f"{_COLUMNS} WHERE id = $1"
_HUNDRED = f"{_COLUMNS} ORDER BY id LIMIT $1"
_INSERT = "INSERT INTO entries (name, quantity) VALUES ($1, $2) RETURNING id"


class Row(asyncpg.Record):
    """A record whose columns are attributes."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def create_app(url: str, **pool_options: Any) -> HawkAPI:
    """Make the application.

    Args:
        url: Its database, as SQLAlchemy writes it.
        pool_options: For `asyncpg.create_pool`, beside the URL and the size.
    """
    app = HawkAPI()
    # As many connections at most as SQLAlchemy's default pool. It connects when it is awaited.
    pool = asyncpg.create_pool(
        url.replace("+asyncpg", ""), min_size=5, max_size=15, record_class=Row, **pool_options
    )

    @app.on_startup
    async def connect() -> None:
        await pool

    @app.on_shutdown
    async def close() -> None:
        await pool.close()

    @app.get("/nothing")
    async def nothing() -> NothingOut:
        return NothingOut(ok=True)

    @app.get("/items/{item_id:int}")
    async def one_row(item_id: int) -> ItemOut:
        return item_out(await pool.fetchrow(_ONE, item_id))

    @app.get("/items")
    async def hundred_rows() -> list[ItemOut]:
        return [item_out(row) for row in await pool.fetch(_HUNDRED, HUNDRED)]

    @app.post("/entries")
    async def insert() -> EntryOut:
        return EntryOut(await pool.fetchval(_INSERT, "one more", 1))

    async def first() -> Any:
        return await pool.fetchrow(_ONE, 1)

    async def second() -> Any:
        return await pool.fetchrow(_ONE, 2)

    @app.get("/pair")
    async def two_dependencies(
        one: Annotated[Any, Depends(first)], other: Annotated[Any, Depends(second)]
    ) -> PairOut:
        return PairOut(item_out(one), item_out(other))

    return app
