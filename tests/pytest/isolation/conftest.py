"""What the tests of the pytest portion share: the databases of a run, without a run around them."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.pytest.portal import Portal
from hawkapi_sqlalchemy.pytest.provisioning.choosing import choose_home, remove_leftovers
from hawkapi_sqlalchemy.pytest.provisioning.schema import MetadataSchema
from hawkapi_sqlalchemy.pytest.runtime import Runtime, TestDatabase
from schema import Base, User


@pytest.fixture
def portal() -> Iterator[Portal]:
    portal = Portal()
    yield portal
    portal.close()


@pytest.fixture
def runtime(dialect: str, database_url: str, portal: Portal) -> Iterator[Runtime]:
    """The databases of a run's one process, whose schema is that of `schema.Base`."""
    run = f"hawkapi_test_{uuid4().hex[:8]}"
    url = "sqlite+aiosqlite://" if dialect == "sqlite" else database_url
    schema = MetadataSchema([Base.metadata], portal)
    home = choose_home(url, schema, portal, run=run, process="main", is_private=True)
    runtime = Runtime(home, portal)
    yield runtime
    runtime.close()
    if dialect != "sqlite":
        remove_leftovers(url, portal, run=run)


type Begin = Callable[..., AbstractContextManager[TestDatabase]]


@pytest.fixture
def a_test(runtime: Runtime) -> Begin:
    """Be a test of the run, for the length of a block."""

    @contextmanager
    def a_test(*, real_commits: bool = False) -> Iterator[TestDatabase]:
        test = runtime.begin(real_commits=real_commits)
        test.call_begins()
        try:
            yield test
        finally:
            test.end()

    return a_test


@pytest.fixture
def stored(runtime: Runtime) -> Callable[[], Awaitable[list[str]]]:
    """Ask, on a connection past all isolation, which users are stored between tests."""

    async def emails() -> list[str]:
        engine = create_async_engine(runtime.url(), poolclass=NullPool)
        async with engine.connect() as connection:
            found = list(await connection.scalars(select(User.email).order_by(User.email)))
        await engine.dispose()
        return found

    return emails
