"""Many tests, in any order, in several processes: none sees another one's rows."""

import random

import pytest
from sqlalchemy import make_url

CONFTEST = """
import os
import random

def pytest_collection_modifyitems(items):
    # One order for all workers, which must agree on it.
    random.Random(int(os.environ["ORDER"])).shuffle(items)
"""

# Each test begins with nothing, and each tries to leave something in its own way.
SUITE = """
import asyncio
from pathlib import Path
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from shop import User

pytestmark = pytest.mark.asyncio
LEFT_OPEN = []


async def count(db):
    async with db.session(commit=False) as session:
        return await session.scalar(select(func.count(User.id)))


async def commits(db, client):
    async with db.session() as session:
        session.add(User(email="ada"))


async def requests(db, client):
    assert (await client.async_post("/users?email=ada")).status_code == 201
    assert (await client.async_post("/users?email=ada")).status_code == 409


async def fails(db, client):
    async with db.session() as session:
        session.add_all([User(email="ada"), User(email="ada")])
        with pytest.raises(IntegrityError):
            await session.flush()
        await session.rollback()
        session.add(User(email="joan"))


async def leaves_a_session_open(db, client):
    session = db.open()
    # Held: the garbage collector warns of one that was never closed.
    LEFT_OPEN.append(session)
    session.add(User(email="ada"))
    await session.flush()


async def nests(db, client):
    async with db.session() as session:
        async with session.begin_nested():
            session.add(User(email="ada"))


async def makes_a_table(db, client):
    async with db.session() as session:
        await session.execute(text("CREATE TABLE extra (id INTEGER PRIMARY KEY)"))
        session.add(User(email="ada"))


async def stops_half_way(db, client):
    async with db.session() as session:
        session.add(User(email="ada"))
        await session.flush()
        pytest.xfail("half way")


async def has_two_at_once(db, client):
    await asyncio.gather(requests_once(client, "ada"), requests_once(client, "joan"))


async def requests_once(client, email):
    assert (await client.async_post(f"/users?email={email}")).status_code == 201


WAYS = [commits, requests, fails, leaves_a_session_open, nests, stops_half_way, has_two_at_once]


@pytest.mark.parametrize("turn", range(TURNS))
@pytest.mark.parametrize("way", WAYS)
async def test_begins_with_nothing(hawkapi_db, hawkapi_client, way, turn):
    assert await count(hawkapi_db) == 0
    await way(hawkapi_db, hawkapi_client)


@pytest.mark.parametrize("turn", range(5))
async def test_begins_with_no_table_of_another_one(hawkapi_db, hawkapi_client, turn):
    assert await count(hawkapi_db) == 0
    await makes_a_table(hawkapi_db, hawkapi_client)


@pytest.mark.hawkapi_db(real_commits=True)
@pytest.mark.parametrize("turn", range(5))
async def test_begins_with_nothing_and_commits(
    hawkapi_db, hawkapi_client, hawkapi_database_url, turn
):
    Path("url").write_text(hawkapi_database_url)
    assert await count(hawkapi_db) == 0
    await requests(hawkapi_db, hawkapi_client)
"""


def run_of(project: pytest.Pytester) -> str:
    """What the names of a run's databases begin with; other tests have runs at the same time."""
    database = make_url((project.path / "url").read_text()).database
    assert database is not None
    assert "hawkapi" in database
    return database.rpartition("_")[0]


TURNS = 70  # 7 ways, and ten tests more: 500


@pytest.mark.timeout(300)
def test_500_tests_in_random_order_in_four_processes(project, where, left_behind, monkeypatch):
    order = random.randrange(2**32)
    print("order", order)
    monkeypatch.setenv("ORDER", str(order))
    project.makeconftest(CONFTEST)
    project.makepyfile(SUITE.replace("TURNS", str(TURNS)))
    result = project.runpytest_subprocess("-n", "4", f"--hawkapi-database={where}")
    result.assert_outcomes(passed=500 - TURNS, xfailed=TURNS)
    assert left_behind(run_of(project)) == []


def test_a_worker_that_is_killed_leaves_nothing_on_the_server(project, where, left_behind):
    project.makepyfile(
        """
        import os, signal
        from pathlib import Path
        import pytest

        def test_one(hawkapi_client, hawkapi_database_url):
            Path("url").write_text(hawkapi_database_url)
            assert hawkapi_client.post("/users?email=ada").status_code == 201
            if not os.path.exists("killed"):
                open("killed", "w").close()
                os.kill(os.getpid(), signal.SIGKILL)

        @pytest.mark.parametrize("turn", range(4))
        def test_others(hawkapi_client, turn):
            assert hawkapi_client.post("/users?email=ada").status_code == 201
        """
    )
    result = project.runpytest_subprocess("-n", "2", f"--hawkapi-database={where}")
    result.assert_outcomes(passed=4, failed=1)
    assert left_behind(run_of(project)) == []
