"""Every public name of the core, used as an application uses it, its errors' data too.

Never run: only type-checked, by `test_core_types.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, assert_type

from hawkapi import Depends, HawkAPI, Request
from sqlalchemy import exc as sa_exc
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hawkapi_sqlalchemy.core import (
    CannotConnectError,
    CommitOutcomeUnknownError,
    ConfigurationError,
    Database,
    DatabaseConfig,
    DatabaseNotConfiguredError,
    DatabaseUnavailableError,
    Engine,
    HawkAPISQLAlchemyError,
    PartialCommitError,
    PoolExhaustedError,
    PrimaryUnavailableError,
    ReadOnlyError,
    SessionEndedError,
    TransactionLostError,
    UnknownDatabaseError,
    UnknownDatabaseWarning,
    all_healthy,
    create_engine,
    database_healthy,
    get_replica_session,
    get_session,
    init_database,
    on_commit,
    open_session,
    resolve_database,
    session_for,
    session_healthy,
)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)


def password() -> str:
    return "from a vault"


async def token() -> str:
    return "from a service"


async def send_receipt(email: str, *, copies: int = 1) -> None:
    del email, copies


def configurations() -> Mapping[str, DatabaseConfig]:
    everything = DatabaseConfig(
        url="postgresql+asyncpg://user@localhost/app",
        echo=False,
        pool_size=5,
        max_overflow=10,
        pool_timeout=30.0,
        pool_recycle=3600,
        pool_pre_ping=True,
        connect_args={"server_settings": {"jit": "off"}},
        engine_kwargs={"pool_use_lifo": True},
        session_kwargs={"autoflush": False},
        password=password,
        read_only=True,
        connect_timeout=3,
        statement_timeout=10,
        lock_timeout=2.5,
        idle_in_transaction_timeout=60,
        pgbouncer=True,
    )
    assert_type(everything.dialect, str)
    return {
        "primary": DatabaseConfig("postgresql+asyncpg://user@localhost/app", password=token),
        "replica": everything,
        "local": DatabaseConfig(
            make_url("sqlite+aiosqlite:///app.db"), sqlite_pragmas={"cache_size": -4000}
        ),
    }


app = HawkAPI()
assert_type(init_database(app, url="sqlite+aiosqlite:///app.db"), Database)
init_database(app, config=DatabaseConfig("sqlite+aiosqlite://"), readiness=False, workers=4)
init_database(
    app,
    databases=configurations(),
    commit_when=lambda status: status < 300,
    startup_timeout=None,
    drain_timeout=5,
)

get_analytics = session_for("analytics", commit=False)


@app.post("/users")
async def create(
    email: str, session: Annotated[AsyncSession, Depends(get_session)]
) -> dict[str, bool]:
    user = User(email=email)
    session.add(user)
    on_commit(session, send_receipt, user.email)
    on_commit(session, print, "stored")
    return {"ok": True}


@app.get("/users")
async def users(session: Annotated[AsyncSession, Depends(get_replica_session)]) -> list[str]:
    return list(await session.scalars(select(User.email)))


@app.get("/report")
async def report(
    request: Request, db: Database, session: Annotated[AsyncSession, Depends(get_analytics)]
) -> dict[str, bool]:
    assert_type(await session_healthy(session, timeout=1), bool)
    assert_type(await database_healthy(db, "replica", timeout=1), bool)
    assert_type(await database_healthy(db.get("replica")), bool)
    assert_type(resolve_database(request.scope.get("app")), Database)
    return await all_healthy(db, timeout=1)


async def script() -> None:
    async with open_session(app, name="primary") as session:
        assert_type(session, AsyncSession)

    database = Database()
    engine = database.add("primary", DatabaseConfig("sqlite+aiosqlite://"))
    assert_type(engine, Engine)
    assert_type(database.get(), Engine)
    assert_type(database.engines, dict[str, Engine])
    assert_type(engine.engine, AsyncEngine)
    assert_type(engine.sessionmaker, async_sessionmaker[AsyncSession])
    assert_type(engine.config, DatabaseConfig)
    assert_type(create_engine(engine.config, name="other"), Engine)
    async with database.session(commit=False) as session:
        assert_type(session, AsyncSession)

    async def count(session: AsyncSession) -> int:
        return len((await session.scalars(select(User.id))).all())

    assert_type(await database.run(count, attempts=3, max_wait=0.5, deadline=10), int)
    assert_type(await database.drain(5), bool)
    await database.dispose()


def tell(error: Exception) -> object:
    """Read the data that the errors carry."""
    match error:
        case CannotConnectError():
            return assert_type((error.name, error.where, error.reason), tuple[str, str, str])
        case PoolExhaustedError():
            return error.checked_out / (error.size + error.max_overflow) * error.timeout
        case PartialCommitError():
            return assert_type(error.committed, tuple[str, ...]), error.failed, error.rolled_back
        case UnknownDatabaseError():
            return error.name in error.registered
        case CommitOutcomeUnknownError():
            return error.name
        case _:
            return None


ours: list[type[HawkAPISQLAlchemyError]] = [
    ConfigurationError,
    DatabaseNotConfiguredError,
    DatabaseUnavailableError,
    PrimaryUnavailableError,
    ReadOnlyError,
    SessionEndedError,
    TransactionLostError,
]
of_sqlalchemy: list[type[sa_exc.SQLAlchemyError]] = [CannotConnectError, PoolExhaustedError]
a_warning: type[Warning] = UnknownDatabaseWarning
