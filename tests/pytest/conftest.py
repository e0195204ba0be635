"""What the tests of queries share: databases with authors and their books."""

from collections.abc import AsyncIterator

import pytest

from authors import Base, stock
from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.pytest import temporary_database


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with temporary_database(Base.metadata, url=database_url) as database:
        await stock(database)
        yield database


@pytest.fixture
async def memory() -> AsyncIterator[Database]:
    """A database for what no dialect does otherwise."""
    async with temporary_database(Base.metadata) as database:
        await stock(database)
        yield database
