"""pytest-postgresql: each test has a copy of a template that was made once."""

import pytest
from pytest_postgresql import factories
from sqlalchemy import URL, NullPool, create_engine, make_url
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from models import metadata
from work import insert_and_read


def make_tables(**where):
    url = URL.create(
        "postgresql+psycopg",
        username=where["user"],
        password=where["password"],
        host=where["host"],
        port=where["port"],
        database=where["dbname"],
    )
    metadata.create_all(create_engine(url, poolclass=NullPool))


server = factories.postgresql_noproc(load=[make_tables], dbname="cloned")
clone = factories.postgresql("server")


@pytest.fixture
async def sessions(clone, url):
    engine = create_async_engine(make_url(url).set(database=clone.info.dbname), poolclass=NullPool)
    yield async_sessionmaker(engine)
    await engine.dispose()


async def test_work(sessions, number):
    async with sessions.begin() as session:
        await insert_and_read(session)
