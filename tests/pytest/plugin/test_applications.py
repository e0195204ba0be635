"""Whatever leads to an application's database leads to the test's, and back afterwards."""

from pathlib import Path

PRODUCTION = "production.db"


def used(project) -> bool:
    return Path(project.path / PRODUCTION).exists()


def test_an_own_client_and_a_database_of_the_module_lead_there_too(project):
    project.makepyfile(
        shop=project.path.joinpath("shop.py").read_text()
        + """
db = app.state.db

@app.post("/direct")
async def direct(email: str):
    async with db.session() as session:
        session.add(User(email=email))
"""
    )
    project.makepyfile(
        """
        from hawkapi import testing
        from shop import app, db, create_app

        def test_an_own_client(hawkapi_db):
            client = testing.TestClient(app)
            assert client.post("/users?email=ada").status_code == 201
            assert client.post("/direct?email=joan").status_code == 201
            assert client.get("/count").json() == {"count": 2}
            client._loop.close()

        def test_an_application_of_the_test_s_own(hawkapi_db):
            client = testing.TestClient(create_app())
            assert client.post("/users?email=ada").status_code == 201
            assert client.get("/count").json() == {"count": 1}
            client._loop.close()

        def test_it_is_its_own_again_afterwards():
            assert db.get().engine.url.database == "production.db"
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=3)
    assert not used(project)


def test_a_session_before_the_application_is_the_application_s_too(project):
    project.makepyfile(
        shop=project.path.joinpath("shop.py")
        .read_text()
        .replace(
            'init_database(app, url="sqlite+aiosqlite:///production.db")',
            "init_database(app, config=DatabaseConfig('sqlite+aiosqlite:///production.db', "
            "session_kwargs={'autoflush': False}))",
        )
        .replace("from hawkapi_sqlalchemy import", "from hawkapi_sqlalchemy import DatabaseConfig,")
    )
    project.makepyfile(
        """
        import pytest
        from sqlalchemy import select
        from shop import User

        @pytest.mark.asyncio
        @pytest.mark.parametrize("real", [
            False, pytest.param(True, marks=pytest.mark.hawkapi_db(real_commits=True))
        ])
        async def test_order(hawkapi_session, hawkapi_client, hawkapi_queries, real):
            assert (await hawkapi_client.async_post("/users?email=ada")).status_code == 201
            with hawkapi_queries.exactly(1):
                assert list(await hawkapi_session.scalars(select(User.email))) == ["ada"]
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=2)
    assert not used(project)


def test_a_test_whose_rollback_could_not_be_done_fails(project):
    project.makepyfile(
        """
        import pytest
        from shop import User

        @pytest.mark.asyncio
        async def test_crossing(hawkapi_db, hawkapi_client):
            async with hawkapi_db.session(commit=False) as outer:
                outer.add(User(email="outer"))
                await outer.flush()
                await hawkapi_client.async_post("/users?email=ada")

        def test_other(hawkapi_client):
            assert hawkapi_client.get("/count").json() == {"count": 0}
        """
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*cannot be rolled back alone*real_commits=True*"])
    assert "site-packages" not in result.stdout.str()


def test_what_a_request_leaves_running_ends_with_the_test(project):
    project.makepyfile(
        shop=project.path.joinpath("shop.py").read_text()
        + """
import asyncio

@app.post("/later")
async def later():
    app.task = asyncio.create_task(asyncio.sleep(3600))
"""
    )
    project.makepyfile(
        """
        import gc

        def test_one(hawkapi_client):
            assert hawkapi_client.post("/later").status_code == 201

        def test_two(hawkapi_client):
            gc.collect()
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_the_header_tells_where_the_databases_are_without_the_password(project, postgresql_server):
    project.makepyfile("def test_one(hawkapi_client): pass")
    url = postgresql_server.url()
    result = project.runpytest_subprocess(f"--hawkapi-database={url}")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["hawkapi-sqlalchemy: databases on 127.0.0.1:*"])
    assert postgresql_server.workspace.password not in result.stdout.str()
