"""One suite passes under every way to run async tests, and as sync tests, on every database."""

import pytest

from user_project import ASYNCIO, INI

SUITE = """
import asyncio
import pytest
from sqlalchemy import func, select
from shop import User

{head}

{async_fixture}
async def ada(hawkapi_session):
    user = User(email="ada")
    hawkapi_session.add(user)
    await hawkapi_session.commit()
    return user


@pytest.fixture
def joan(hawkapi_client):
    assert hawkapi_client.post("/users?email=joan").status_code == 201


@pytest.mark.parametrize("turn", range(2))
async def test_a_request_is_seen_by_the_session(hawkapi_client, hawkapi_session, turn):
    assert await hawkapi_session.scalar(select(func.count(User.id))) == 0
    response = await hawkapi_client.async_post("/users?email=ada")
    assert response.status_code == 201
    assert await hawkapi_session.scalar(select(func.count(User.id))) == 1


@pytest.mark.parametrize("turn", range(2))
async def test_a_fixture_s_row_is_seen_by_requests(ada, hawkapi_client, turn):
    assert (await hawkapi_client.async_post("/users?email=ada")).status_code == 409
    assert (await hawkapi_client.async_get("/count")).json() == {{"count": 1}}


async def test_the_database_has_sessions_of_its_own(hawkapi_db):
    async with hawkapi_db.session() as session:
        session.add(User(email="ada"))
    async with hawkapi_db.session(commit=False) as session:
        assert await session.scalar(select(func.count(User.id))) == 1


async def test_requests_at_the_same_time(hawkapi_client):
    answers = await asyncio.gather(
        *(hawkapi_client.async_post("/users?email=ada") for _ in range(4))
    )
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409]


@pytest.mark.hawkapi_db(real_commits=True)
@pytest.mark.parametrize("turn", range(2))
async def test_real_commits(hawkapi_client, hawkapi_session, turn):
    assert (await hawkapi_client.async_post("/users?email=ada")).status_code == 201
    assert await hawkapi_session.scalar(select(func.count(User.id))) == 1


@pytest.mark.parametrize("turn", range(2))
def test_plain_requests(joan, hawkapi_client, turn):
    assert hawkapi_client.post("/users?email=joan").status_code == 409
    assert hawkapi_client.post("/refused?email=ada").status_code == 409
    assert hawkapi_client.get("/count").json() == {{"count": 1}}


@pytest.mark.hawkapi_db(real_commits=True)
@pytest.mark.parametrize("turn", range(2))
def test_plain_requests_with_real_commits(joan, hawkapi_client, turn):
    assert hawkapi_client.get("/count").json() == {{"count": 1}}
"""
TESTS = 12


def suite(head: str, fixture: str, mark: str) -> str:
    """Write the suite with what its way of running async tests wants."""
    text = SUITE.format(head=head, async_fixture=fixture)
    return text.replace("\nasync def test", f"\n{mark}async def test")


@pytest.mark.parametrize("scope", ["function", "session"])
@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_pytest_asyncio(project, where, mode, scope):
    mark = "" if mode == "auto" else f"@pytest.mark.asyncio(loop_scope={scope!r})\n"
    fixture = f"@pytest_asyncio.fixture(loop_scope={scope!r})"
    project.makepyfile(suite("import pytest_asyncio", fixture, mark))
    result = project.runpytest_subprocess(
        *("-p", "no:anyio", "-o", f"asyncio_mode={mode}"),
        *("-o", f"asyncio_default_test_loop_scope={scope}"),
        f"--hawkapi-database={where}",
    )
    result.assert_outcomes(passed=TESTS)


def test_anyio(project, where):
    backend = "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'"
    project.makepyfile(suite(backend, "@pytest.fixture", "@pytest.mark.anyio\n"))
    # The other plugin's key would be unknown without it.
    project.makeini(INI.replace(ASYNCIO, ""))
    result = project.runpytest_subprocess("-p", "no:asyncio", f"--hawkapi-database={where}")
    result.assert_outcomes(passed=TESTS)
