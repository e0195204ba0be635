"""A user's project, and the run of its tests in a fresh interpreter."""

from collections.abc import Callable

import pytest

APP = '''
from hawkapi import Depends, HawkAPI, HTTPException
from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from hawkapi_sqlalchemy import Base, get_replica_session, get_session, init_database


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(200), unique=True)


def create_app() -> HawkAPI:
    app = HawkAPI()
    init_database(app, url="sqlite+aiosqlite:///production.db")

    @app.post("/users")
    async def create_user(email: str, session: AsyncSession = Depends(get_session)):
        session.add(User(email=email))
        return {"email": email}

    @app.post("/refused")
    async def refuse_user(email: str, session: AsyncSession = Depends(get_session)):
        session.add(User(email=email))
        await session.flush()
        raise HTTPException(409, "not today")

    @app.get("/count")
    async def count(session: AsyncSession = Depends(get_replica_session)):
        return {"count": await session.scalar(select(func.count(User.id)))}

    return app


app = create_app()
'''


@pytest.fixture
def where(request: pytest.FixtureRequest, dialect: str) -> str:
    """What `--hawkapi-database` is to be for the dialect; databases are made on the shared server."""
    return "sqlite" if dialect == "sqlite" else request.getfixturevalue("database_server").url()


@pytest.fixture
def left_behind(request: pytest.FixtureRequest, dialect: str) -> Callable[[str], list[str]]:
    """Ask which databases of a run are left on the server."""

    def names(prefix: str = "hawkapi_test_") -> list[str]:
        if dialect == "sqlite":
            return []
        server = request.getfixturevalue("database_server")
        sql = {
            "postgresql": "SELECT datname FROM pg_database",
            "mariadb": "SHOW DATABASES",
        }[dialect]
        return [name for (name,) in server.execute(sql) if name.startswith(prefix)]

    return names


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with an application `shop.app`, and warnings as errors."""
    # Its run is one of its own, not one of this run's workers.
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "HAWKAPI_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(shop=APP)
    pytester.makeini(
        "[pytest]\n"
        "asyncio_default_fixture_loop_scope = function\n"
        "filterwarnings = error\n"
        "hawkapi_app = shop:app\n"
        "pythonpath = .\n"
    )
    return pytester
