"""The applications, as their users write them. This runs in each peer's own environment."""

# No postponed annotations: HawkAPI would look for the names of a builder in the module.
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hawkapi import Depends, HawkAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import NullPool
from sqlalchemy.types import String

ROWS = 1000
_ROW = ROWS // 2


class Base(DeclarativeBase):
    """The schema."""


class Item(Base):
    """What is read and written."""

    __tablename__ = "item"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


@dataclass(frozen=True)
class Pool:
    """How large a pool is.

    Args:
        size: Connections that stay open.
        overflow: Connections that may be opened beyond.
    """

    size: int
    overflow: int


async def create_schema(url: str) -> None:
    """Make the table anew, and its rows."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
        rows = [{"name": f"item {number}"} for number in range(ROWS)]
        await connection.execute(Item.__table__.insert(), rows)
    await engine.dispose()


async def _one_row(session: AsyncSession) -> dict[str, Any]:
    item = (await session.execute(select(Item).where(Item.id == _ROW))).scalar_one()
    return {"id": item.id, "name": item.name}


def raw(url: str, pool: Pool) -> HawkAPI:
    """Build an application that opens its sessions by hand."""
    app = HawkAPI()
    engine = create_async_engine(url, pool_size=pool.size, max_overflow=pool.overflow)
    maker = async_sessionmaker(engine, expire_on_commit=False)

    @app.get("/one-row")
    async def one_row() -> dict[str, Any]:
        async with maker() as session:
            return await _one_row(session)

    app.on_shutdown(engine.dispose)
    del one_row
    return app


def packaged(url: str, pool: Pool) -> HawkAPI:
    """Build an application with `hawkapi_sqlalchemy`: ours, or the one published before it."""
    from hawkapi_sqlalchemy import DatabaseConfig, get_session, init_database

    app = HawkAPI()
    init_database(app, config=DatabaseConfig(url, pool_size=pool.size, max_overflow=pool.overflow))
    _routes(app, get_session)
    return app


def with_databases(urls: Mapping[str, str]) -> HawkAPI:
    """Build an application with several databases, which uses the primary alone.

    Args:
        urls: By name. The server is told the name of each connection's database.
    """
    from hawkapi_sqlalchemy import DatabaseConfig, get_session, init_database

    app = HawkAPI()
    configs = {
        name: DatabaseConfig(url, connect_args={"server_settings": {"application_name": name}})
        for name, url in urls.items()
    }
    init_database(app, databases=configs)
    _routes(app, get_session)
    return app


def _routes(app: HawkAPI, get_session: Callable[..., Any]) -> None:
    @app.get("/one-row")
    async def one_row(session: AsyncSession = Depends(get_session)) -> dict[str, Any]:
        return await _one_row(session)

    @app.post("/insert")
    async def insert(session: AsyncSession = Depends(get_session)) -> dict[str, Any]:
        item = Item(name="new")
        session.add(item)
        await session.flush()
        return {"id": item.id}

    del one_row, insert


BUILDERS: Mapping[str, Callable[[str, Pool], HawkAPI]] = {
    "ours": packaged,
    "published": packaged,
    "raw": raw,
}
