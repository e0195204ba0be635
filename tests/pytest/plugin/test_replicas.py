"""An application with replicas is tested on the test's database alone, and none is looked at."""

PRIMARY = 'init_database(app, url="sqlite+aiosqlite:///production.db")'
REPLICATED = """init_database(
        app,
        databases={
            "primary": DatabaseConfig("postgresql+asyncpg://app@primary.invalid/shop"),
            "replica": [
                DatabaseConfig("postgresql+asyncpg://app@one.invalid/shop", weight=3),
                DatabaseConfig("postgresql+asyncpg://app@two.invalid/shop"),
            ],
        },
        read_your_writes=ReadYourWrites(secret="a secret of at least thirty-two characters"),
    )

    @app.post("/split")
    async def split(email: str, session: AsyncSession = Depends(get_split_session)):
        before = await session.scalar(select(func.count(User.id)))
        session.add(User(email=email))
        await session.flush()
        return {"before": before, "after": await session.scalar(select(func.count(User.id)))}

    @app.get("/named")
    async def named(session: AsyncSession = Depends(session_for("replica"))):
        return {"count": await session.scalar(select(func.count(User.id)))}
"""
IMPORTED = "from hawkapi_sqlalchemy import DatabaseConfig, ReadYourWrites, get_split_session,"

TESTS = """
import pytest
from hawkapi_sqlalchemy.core.routing.primary import Primary
from hawkapi_sqlalchemy.core.routing.replica import Replica
from shop import app

KINDS = [
    False,
    pytest.param(True, marks=pytest.mark.hawkapi_db(real_commits=True)),
]


async def look(self):
    raise AssertionError("somebody looks at a server")


@pytest.fixture(autouse=True)
def nobody_looks(monkeypatch):
    for kind, name in ((Primary, "_ask"), (Replica, "_ask"), (Replica, "_poll")):
        monkeypatch.setattr(kind, name, look)


@pytest.mark.parametrize("real", KINDS)
def test_reads_see_the_test_s_own_writes(hawkapi_client, real):
    assert hawkapi_client.post("/users?email=ada").status_code == 201
    for _ in range(4):
        assert hawkapi_client.get("/count").json() == {"count": 1}
        assert hawkapi_client.get("/named").json() == {"count": 1}
    assert app.state.db.replicas == {}


@pytest.mark.parametrize("real", KINDS)
def test_a_split_session_sees_them_too(hawkapi_client, real):
    assert hawkapi_client.post("/users?email=ada").status_code == 201
    assert hawkapi_client.post("/split?email=joan").json() == {"before": 1, "after": 2}
    assert hawkapi_client.get("/count").json() == {"count": 2}


@pytest.mark.asyncio
async def test_asynchronous_calls_do_as_well(hawkapi_client):
    assert (await hawkapi_client.async_post("/users?email=ada")).status_code == 201
    assert (await hawkapi_client.async_get("/count")).json() == {"count": 1}


def test_they_are_the_application_s_again_afterwards():
    assert list(app.state.db.replicas) == ["replica:0", "replica:1"]
    assert {each.state.value for each in app.state.db.replicas.values()} == {"unknown"}
"""


def test_reads_see_the_test_s_writes_and_no_replica_is_looked_at(project, where):
    source = project.path.joinpath("shop.py").read_text()
    source = source.replace(PRIMARY, REPLICATED).replace(
        "from hawkapi_sqlalchemy import", f"{IMPORTED} session_for,"
    )
    project.makepyfile(shop=source)
    project.makepyfile(TESTS)
    result = project.runpytest_subprocess(f"--hawkapi-database={where}")
    result.assert_outcomes(passed=6)
