"""`engine_kwargs` and `session_kwargs` win over our defaults, and never clash with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, StaticPool

from hawkapi_sqlalchemy.core import Database, DatabaseConfig, Engine, create_engine
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.bind import _engine_arguments
from hawkapi_sqlalchemy.core.dialects import policy_for

SERVER = "postgresql+asyncpg://user@host/app"
URLS = ["sqlite+aiosqlite://", SERVER, "mysql+aiomysql://user@host/app"]


def label(value: object) -> str | None:
    """Name a case by what is given; a lambda's own text differs between processes."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={getattr(each, '__name__', each)}" for key, each in value.items())
    return None


def arguments(url: str, **fields: Any) -> dict[str, Any]:
    config = DatabaseConfig(url, **fields)
    return _engine_arguments(config, "primary", policy_for(config))


@pytest.fixture
async def engine() -> AsyncIterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(url: str, **fields: Any) -> Engine:
        made.append(create_engine(DatabaseConfig(url, **fields)))
        return made[-1]

    yield make
    for each in made:
        await each.dispose()


@pytest.mark.parametrize("url", URLS)
def test_the_fields_of_the_pool_reach_the_pool(url: str, engine: Callable[..., Engine]) -> None:
    pool: Any = engine(
        url, pool_size=2, max_overflow=3, pool_timeout=4.0, pool_recycle=5, echo=True
    ).engine.pool
    assert isinstance(pool, AsyncAdaptedQueuePool)
    assert (pool.size(), pool._max_overflow, pool.timeout(), pool._recycle) == (2, 3, 4.0, 5)


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    ("given", "read", "expected"),
    [
        ({"echo": True}, lambda e: e.echo, True),
        ({"pool_size": 7}, lambda e: e.pool.size(), 7),
        ({"max_overflow": 8}, lambda e: e.pool._max_overflow, 8),
        ({"pool_timeout": 9}, lambda e: e.pool.timeout(), 9),
        ({"pool_recycle": 11}, lambda e: e.pool._recycle, 11),
        ({"pool_pre_ping": True}, lambda e: e.pool._pre_ping, True),
        ({"pool_pre_ping": False}, lambda e: e.pool._pre_ping, False),
        ({"pool_logging_name": "mine"}, lambda e: e.pool.logging_name, "mine"),
        ({"pool_use_lifo": False}, lambda e: e.pool._use_lifo, False),
        ({"max_idle": 12}, lambda e: e.pool._max_idle, 12),
        ({"poolclass": NullPool}, lambda e: type(e.pool), NullPool),
        ({"poolclass": StaticPool}, lambda e: type(e.pool), StaticPool),
        ({"poolclass": AsyncAdaptedQueuePool}, lambda e: type(e.pool), AsyncAdaptedQueuePool),
        ({"hide_parameters": True}, lambda e: e.sync_engine.hide_parameters, True),
    ],
    ids=label,
)
def test_an_engine_argument_wins(
    url: str,
    given: dict[str, Any],
    read: Callable[[Any], Any],
    expected: object,
    engine: Callable[..., Engine],
) -> None:
    assert read(engine(url, engine_kwargs=given).engine) == expected


@pytest.mark.parametrize("field", ["echo", "pool_size", "max_overflow", "pool_timeout"])
def test_an_engine_argument_wins_over_the_field_of_the_same_name(field: str) -> None:
    assert arguments(SERVER, **{field: 1}, engine_kwargs={field: 2})[field] == 2


def test_connect_args_are_merged_with_ours_mappings_inside_them_too() -> None:
    merged = arguments(
        SERVER,
        statement_timeout=2,
        lock_timeout=3,
        connect_args={"server_settings": {"jit": "off", "lock_timeout": "7"}, "timeout": 1},
        engine_kwargs={"connect_args": {"server_settings": {"work_mem": "8MB"}, "timeout": 2}},
    )["connect_args"]
    assert merged["timeout"] == 2
    assert merged["server_settings"] == {
        "statement_timeout": "2000",
        "lock_timeout": "7",
        "jit": "off",
        "work_mem": "8MB",
    }


def test_the_given_mappings_are_left_as_they_are() -> None:
    given = {"server_settings": {"jit": "off"}}
    arguments(SERVER, statement_timeout=2, connect_args=given)
    assert given == {"server_settings": {"jit": "off"}}


@pytest.mark.dialects("postgresql")
async def test_server_settings_of_the_readme_reach_the_server(
    database_url: str, make_database: Any
) -> None:
    database: Database = make_database(
        database_url, statement_timeout=2.5, connect_args={"server_settings": {"jit": "off"}}
    )
    async with database.session() as session:
        assert await session.scalar(text("SHOW jit")) == "off"
        assert await session.scalar(text("SHOW statement_timeout")) == "2500ms"


class MySession(AsyncSession):
    pass


class MySyncSession(Session):
    pass


@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize(
    ("given", "read", "expected"),
    [
        ({"expire_on_commit": True}, lambda s: s.sync_session.expire_on_commit, True),
        ({"autoflush": False}, lambda s: s.sync_session.autoflush, False),
        ({"class_": MySession}, lambda s: isinstance(s, MySession), True),
        ({"sync_session_class": MySyncSession}, lambda s: type(s.sync_session), MySyncSession),
        ({"info": {"tenant": 1}}, lambda s: s.info["tenant"], 1),
        ({"close_resets_only": True}, lambda s: s.sync_session._close_state.name, "CLOSE_IS_RESET"),
    ],
    ids=label,
)
async def test_a_session_argument_wins(
    access: Access,
    given: dict[str, Any],
    read: Callable[[Any], Any],
    expected: object,
    engine: Callable[..., Engine],
) -> None:
    session = engine("sqlite+aiosqlite://", session_kwargs=given).session(access)
    assert read(session) == expected
    await session.close()


async def test_sessions_keep_their_objects_after_commit_and_flush_by_themselves(
    engine: Callable[..., Engine],
) -> None:
    session = engine("sqlite+aiosqlite://").session(Access.WRITE).sync_session
    assert not session.expire_on_commit
    assert session.autoflush


async def test_a_session_of_the_users_own_class_works_and_ends(make_database: Any) -> None:
    database: Database = make_database(
        "sqlite+aiosqlite://", session_kwargs={"class_": MySession, "info": {"tenant": 1}}
    )
    async with database.session() as session:
        assert type(session) is MySession
        assert await session.scalar(text("SELECT 1")) == 1
    assert isinstance(session, MySession)
    async with database.session() as other:
        assert other.info is not session.sync_session.info


async def test_the_public_sessionmaker_makes_plain_writing_sessions(make_database: Any) -> None:
    database: Database = make_database("sqlite+aiosqlite://")
    engine = database.get()
    async with engine.sessionmaker() as session:
        await session.execute(text("CREATE TABLE t (x INTEGER)"))
        await session.commit()
        assert await session.scalar(text("SELECT count(*) FROM t")) == 0


@pytest.mark.dialects("postgresql", "mariadb")
async def test_an_engine_without_a_pool_works(database_url: str, make_database: Any) -> None:
    database: Database = make_database(database_url, engine_kwargs={"poolclass": NullPool})
    async with database.session() as session:
        assert await session.scalar(text("SELECT 1")) == 1
    assert database.checked_out == 0


@pytest.mark.dialects("mariadb")
async def test_a_mariadb_url_works_like_a_mysql_one(database_url: str, make_database: Any) -> None:
    url = make_url(database_url).set(drivername="mariadb+aiomysql")
    database: Database = make_database(url.render_as_string(hide_password=False))
    async with database.session(commit=False) as session:
        assert await session.scalar(text("SELECT 1")) == 1
    assert database.get().config.dialect == "mariadb"
