"""`replace_database`: an application uses another Database for a while."""

import pytest
from hawkapi import Depends, HawkAPI, testing
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseConfig,
    DatabaseNotConfiguredError,
    get_session,
    init_database,
    replace_database,
    resolve_database,
)


@pytest.fixture
async def other(other_database_url: str):
    database = Database()
    database.add("primary", DatabaseConfig(other_database_url))
    yield database
    await database.dispose()


async def test_requests_use_it_and_the_own_one_again_afterwards(app: HawkAPI, other: Database):
    own = resolve_database(app)

    @app.get("/which")
    async def which(db: Database, session: AsyncSession = Depends(get_session)):
        return {
            "session": session.bind is not None
            and session.bind.url.database == other.get().engine.url.database,
            "parameter": db is other,
            "state": app.state.db is other,
        }

    client = testing.TestClient(app)
    for _ in range(2):
        with replace_database(app, other):
            assert resolve_database(app) is resolve_database() is other
            answer = await client.async_get("/which")
            assert set(answer.json().values()) == {True}
        answer = await client.async_get("/which")
        assert set(answer.json().values()) == {False}
        assert resolve_database(app) is resolve_database() is own


@pytest.mark.dialects("sqlite")
async def test_it_ends_with_an_exception_too(app: HawkAPI, other: Database):
    own = resolve_database(app)
    with pytest.raises(LookupError), replace_database(app, other):
        raise LookupError
    assert resolve_database(app) is own


@pytest.mark.dialects("sqlite")
async def test_of_two_applications_only_the_one_is_changed(app: HawkAPI, other: Database):
    second = HawkAPI()
    init_database(second, url="sqlite+aiosqlite://")
    with replace_database(app, other):
        assert resolve_database(second) is second.state.db is not other
    assert resolve_database() is second.state.db
    await second.state.db.dispose()


@pytest.mark.dialects("sqlite")
async def test_an_application_without_a_database_is_refused(other: Database):
    with pytest.raises(DatabaseNotConfiguredError), replace_database(HawkAPI(), other):
        pytest.fail("was not reached")
