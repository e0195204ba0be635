"""Every public name of `hawkapi_sqlalchemy`, used as an application would.

Never run: only type-checked, by `test_api_types.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Annotated, assert_type

from hawkapi import Depends, HawkAPI, Request
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapped, mapped_column

from hawkapi_sqlalchemy import (
    Base,
    Database,
    DatabaseConfig,
    DataclassBase,
    Engine,
    ReadYourWrites,
    ReplicaPolicy,
    ReplicaState,
    ReplicaStatus,
    ReplicasUnavailableError,
    TimestampMixin,
    UUIDMixin,
    all_healthy,
    create_engine,
    database_healthy,
    get_replica_session,
    get_session,
    get_split_session,
    init_database,
    on_commit,
    open_session,
    resolve_database,
    run_migrations,
    session_for,
    session_healthy,
    temporary_database,
    temporary_session,
)
from hawkapi_sqlalchemy.pytest import (
    CapturedCallback,
    QueryRecorder,
    RecordedQuery,
    SourceLine,
    capture_on_commit,
)

URL = "sqlite+aiosqlite:///app.db"


# Models


class User(UUIDMixin, TimestampMixin, Base):
    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)


class Order(TimestampMixin, DataclassBase):
    __tablename__ = "orders"

    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    title: Mapped[str]


def models(user: User) -> None:
    assert_type(user.id, str)
    assert_type(user.created_at, datetime)
    assert_type(user.updated_at, datetime)
    assert_type(User(email="ada@example.org"), User)
    assert_type(Order("lamp").title, str)
    assert_type(Order(title="lamp").id, int)
    Order()  # pyright: ignore[reportCallIssue]
    Order("lamp", 1)  # pyright: ignore[reportCallIssue]


# Configuration


async def rotating_password() -> str:
    return "secret"


def configurations() -> None:
    assert_type(DatabaseConfig(URL), DatabaseConfig)
    DatabaseConfig(make_url(URL), password="secret", read_only=True)
    DatabaseConfig(url=URL, password=rotating_password, pool_timeout=0.5, statement_timeout=None)
    DatabaseConfig(URL, password=lambda: "secret", connect_args={"ssl": True})
    DatabaseConfig(URL, sqlite_pragmas={"synchronous": "FULL", "cache_size": -2000})
    DatabaseConfig()  # pyright: ignore[reportCallIssue]
    DatabaseConfig(URL, True)  # pyright: ignore[reportCallIssue]
    DatabaseConfig(URL, pool_sizes=5)  # pyright: ignore[reportCallIssue]
    DatabaseConfig(URL, pool_size="5")  # pyright: ignore[reportArgumentType]
    config = DatabaseConfig(URL)
    config.echo = True  # pyright: ignore[reportAttributeAccessIssue]


# An application

app = HawkAPI()
db = init_database(app, url=URL)
assert_type(db, Database)
assert_type(init_database(app, config=DatabaseConfig(URL), startup_timeout=None), Database)
assert_type(
    init_database(
        app,
        databases={
            "primary": DatabaseConfig(URL),
            "replica": [DatabaseConfig(URL), DatabaseConfig(URL, weight=2)],
        },
        replicas=ReplicaPolicy(max_lag_seconds=5, when_all_down="best_effort", max_spill=4),
        read_your_writes=ReadYourWrites(
            secret=["s" * 32, b"s" * 32],
            max_age=10,
            cookie=None,
            bind_to=lambda request: request.headers.get("x-user"),
            same_site="strict",
        ),
        commit_when=lambda status: status < 300,
        readiness=False,
        drain_timeout=1.0,
        workers=4,
    ),
    Database,
)
ReplicaPolicy(5)  # pyright: ignore[reportCallIssue]
ReplicaPolicy(when_all_down="nobody")  # pyright: ignore[reportArgumentType]
assert_type(db.replicas, Mapping[str, ReplicaStatus])
assert_type(db.replicas["replica:0"].state, ReplicaState)
assert_type(db.replicas["replica:0"].lag_seconds, float | None)
assert_type(ReplicasUnavailableError({"replica:0": "its replay is paused"}).reasons, dict[str, str])
Split = Annotated[AsyncSession, Depends(get_split_session)]
ReadYourWrites("s" * 32)  # pyright: ignore[reportCallIssue]
ReadYourWrites(secret="s" * 32, same_site="Lax")  # pyright: ignore[reportArgumentType]
init_database(app, URL)  # pyright: ignore[reportCallIssue]
init_database(app, databases={"primary": URL})  # pyright: ignore[reportArgumentType]

get_analytics = session_for("analytics", commit=False)
session_for("analytics", False)  # pyright: ignore[reportCallIssue]

Analytics = Annotated[AsyncSession, Depends(get_analytics)]


def send_receipt(email: str) -> None:
    del email


async def send_receipt_later(email: str) -> None:
    del email


@app.post("/users")
async def create(
    email: str, session: Annotated[AsyncSession, Depends(get_session)]
) -> dict[str, str]:
    user = User(email=email)
    session.add(user)
    on_commit(session, send_receipt, email)
    on_commit(session, send_receipt_later, email)
    on_commit(session.sync_session, send_receipt, email)
    on_commit("session", send_receipt)  # pyright: ignore[reportArgumentType]
    return {"id": user.id}


@app.get("/users")
async def users(
    analytics: Analytics,
    # HawkAPI's marker is no AsyncSession; strict checkers are content with `Annotated`.
    session: AsyncSession = Depends(get_replica_session),  # pyright: ignore[reportArgumentType]
) -> list[str]:
    assert_type(analytics, AsyncSession)
    return list(await session.scalars(select(User.email)))


@app.get("/health")
async def health(request: Request, db: Database) -> dict[str, bool]:
    assert_type(resolve_database(request.scope.get("app")), Database)
    assert_type(resolve_database(), Database)
    return await all_healthy(db)


async def dependencies(request: Request) -> None:
    assert_type(await get_session(request), AsyncSession)
    assert_type(await get_replica_session(request), AsyncSession)
    assert_type(await get_analytics(request), AsyncSession)
    assert_type(get_analytics.name, str)
    assert_type(get_analytics.commit, bool)


# Sessions without a request


async def count_users(session: AsyncSession) -> int:
    return len((await session.scalars(select(User))).all())


async def sessions(db: Database) -> None:
    async with db.session() as session:
        assert_type(session, AsyncSession)
    async with db.session("analytics", commit=False) as session:
        assert_type(session, AsyncSession)
    db.session("analytics", False)  # pyright: ignore[reportCallIssue]
    async with open_session(app, name="analytics") as session:
        assert_type(session, AsyncSession)
    async with open_session(None) as session:
        assert_type(session, AsyncSession)
    opened: AbstractAsyncContextManager[AsyncSession] = db.session()
    del opened
    assert_type(await db.run(count_users), int)
    assert_type(
        await db.run(count_users, name="primary", attempts=3, max_wait=0.1, deadline=5.0), int
    )
    await db.run(send_receipt)  # pyright: ignore[reportArgumentType]


# Engines and health


async def engines(db: Database) -> None:
    assert_type(Database(), Database)
    assert_type(Database.from_configs({"primary": DatabaseConfig(URL)}), Database)
    assert_type(db.add("other", DatabaseConfig(URL)), Engine)
    assert_type(db.get(), Engine)
    assert_type(db.engines, dict[str, Engine])
    assert_type(db.checked_out, int)
    engine = create_engine(DatabaseConfig(URL), name="other")
    assert_type(engine, Engine)
    assert_type(engine.engine, AsyncEngine)
    assert_type(engine.sessionmaker, async_sessionmaker[AsyncSession])
    assert_type(engine.config, DatabaseConfig)
    assert_type(engine.name, str)
    await engine.dispose()
    assert_type(await db.drain(5.0, busy=lambda: False), bool)
    assert_type(await db.dispose(), None)


async def answers(db: Database, session: AsyncSession) -> None:
    assert_type(await session_healthy(session, timeout=0.5), bool)
    assert_type(await database_healthy(db), bool)
    assert_type(await database_healthy(db, "replica", timeout=0.5), bool)
    assert_type(await database_healthy(db.get()), bool)
    assert_type(await all_healthy(db, timeout=0.5), dict[str, bool])
    assert_type(await all_healthy(db, 0.5), dict[str, bool])
    await session_healthy(db)  # pyright: ignore[reportArgumentType]


# Migrations and tests


def migrations() -> None:
    assert_type(run_migrations(Base.metadata, URL), None)
    run_migrations([Base.metadata, DataclassBase.metadata], make_url(URL), render_as_batch=True)
    run_migrations(None, url=URL, compare_type=False, configure_kwargs={"include_schemas": True})
    run_migrations(Base.metadata)  # pyright: ignore[reportCallIssue]


async def temporary() -> None:
    async with temporary_database(Base.metadata) as db:
        assert_type(db, Database)
    async with temporary_session(Base.metadata, url=make_url(URL)) as session:
        assert_type(session, AsyncSession)


def queries(db: Database) -> None:
    recorder = QueryRecorder(db)
    with recorder.recording(savepoints=True) as sent:
        assert_type(sent, list[RecordedQuery])
    with recorder.at_most(3), recorder.exactly(2), recorder.none(), recorder.no_n_plus_one():
        pass
    with recorder.no_n_plus_one(threshold=3) as sent:
        assert_type(sent[0].sql, str)
        assert_type(sent[0].source, SourceLine | None)
        assert_type(sent[0].relationship, str | None)
    recorder.at_most()  # pyright: ignore[reportCallIssue]
    recorder.recording(True)  # pyright: ignore[reportCallIssue]


async def callbacks() -> None:
    with capture_on_commit(run=False) as captured:
        assert_type(captured, list[CapturedCallback])
        assert_type(captured[0].has_run, bool)
        assert_type(captured[0].error, Exception | None)
        await captured[0]()
    capture_on_commit(False)  # pyright: ignore[reportCallIssue]
