"""What the core's tests share: a fresh database with tables, an application on it, a client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hawkapi import HawkAPI
from hawkapi.testing import TestClient
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.core import Database, DatabaseConfig, init_database
from schema import Base, User


async def create_tables(url: str) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()


@pytest.fixture
async def url(database_url: str) -> str:
    """The URL of a fresh database that has the tables."""
    await create_tables(database_url)
    return database_url


@pytest.fixture
async def app(url: str) -> AsyncIterator[HawkAPI]:
    """An application whose only database is the fresh one."""
    app = HawkAPI()
    database = init_database(app, url=url)
    yield app
    await database.dispose()


@pytest.fixture
def database(app: HawkAPI) -> Database:
    """The application's Database."""
    return app.state.db


@pytest.fixture
def client(app: HawkAPI) -> TestClient:
    return TestClient(app)


@pytest.fixture
def stored(url: str) -> Callable[[], Awaitable[list[str]]]:
    """Ask, on a connection of its own, which users are stored."""

    async def emails() -> list[str]:
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.connect() as connection:
            found = list(await connection.scalars(select(User.email).order_by(User.email)))
        await engine.dispose()
        return found

    return emails


@pytest.fixture
async def standalone(url: str) -> AsyncIterator[Database]:
    """A Database without an application."""
    database = Database()
    database.add("primary", DatabaseConfig(url))
    yield database
    await database.dispose()
