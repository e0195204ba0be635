"""All tables made before each test, in a SQLite of its own that is nowhere but in memory."""

import pytest
from sqlalchemy import StaticPool
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from models import metadata
from work import insert_and_read


@pytest.fixture
async def sessions():
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield async_sessionmaker(engine)
    await engine.dispose()


async def test_work(sessions, number):
    async with sessions.begin() as session:
        await insert_and_read(session)
