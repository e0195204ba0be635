"""All tables made before each test, and dropped after it."""

import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from models import metadata
from work import insert_and_read


@pytest.fixture
async def sessions(url):
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield async_sessionmaker(engine)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    await engine.dispose()


async def test_work(sessions, number):
    async with sessions.begin() as session:
        await insert_and_read(session)
