"""What the tests of a request share: applications that notice every leaked connection."""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from hawkapi import Depends, HawkAPI
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

import client_tokens
from asgi import until
from hawkapi_sqlalchemy.core import (
    Database,
    DatabaseConfig,
    ReadYourWrites,
    get_session,
    init_database,
)
from schema import Base, User


@pytest.fixture(autouse=True)
def without_garbage_collector() -> Iterator[None]:
    """What comes back only when the garbage collector runs has not come back."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
async def other_url(other_database_url: str) -> str:
    """The URL of a second fresh database that has the tables."""
    engine = create_async_engine(other_database_url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    return other_database_url


@pytest.fixture
async def new_app(url: str) -> AsyncIterator[Callable[..., HawkAPI]]:
    """Make applications; after the test none of them may have a connection in use.

    By default an application has the fresh database, and a pool of one connection, so that a
    connection which is not given back at once is missed by the next request.
    """
    made: list[Database] = []

    def make(
        *,
        where: str = url,
        databases: Mapping[str, DatabaseConfig] | None = None,
        hawkapi: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        on: HawkAPI | None = None,
        **config: Any,
    ) -> HawkAPI:
        app = HawkAPI(**(hawkapi or {})) if on is None else on
        if databases is None:
            databases = {"primary": lone(where, **config)}
        made.append(init_database(app, databases=databases, **(options or {})))
        return app

    yield make
    for database in made:
        assert database.checked_out == 0
        await database.dispose()
    # A driver's thread that ends after the loop has nobody to report to, and fails.
    await until(
        lambda: not any("_connection_worker" in each.name for each in threading.enumerate())
    )


@pytest.fixture(name="lone", scope="session")
def lone_fixture() -> Callable[..., DatabaseConfig]:
    """Describe a database whose pool has one connection, and no patience."""
    return lone


def lone(url: str, **config: Any) -> DatabaseConfig:
    limits = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 3.0}
    return DatabaseConfig(url, **(limits | config))


@pytest.fixture
def app(new_app: Callable[..., HawkAPI]) -> HawkAPI:
    """An application on the fresh database, with a pool of one connection."""
    return new_app()


@pytest.fixture
def with_users() -> Callable[[HawkAPI], HawkAPI]:
    """Give an application `POST /users?email=...`, which stores a user at COMMIT."""

    def add(app: HawkAPI) -> HawkAPI:
        @app.post("/users")
        async def create(email: str, session: AsyncSession = Depends(get_session)) -> dict:
            session.add(User(email=email))
            return {"created": email}

        return app

    return add


@pytest.fixture
def following(new_app: Callable[..., HawkAPI]) -> Callable[..., HawkAPI]:
    """Make applications with read-your-writes, and with the routes of `client_tokens`."""

    def make(**settings: Any) -> HawkAPI:
        settings = {"secret": client_tokens.SECRET} | settings
        return client_tokens.with_routes(
            new_app(options={"read_your_writes": ReadYourWrites(**settings)})
        )

    return make


@pytest.fixture
def stored(url: str) -> Callable[..., Awaitable[list[str]]]:
    """Ask, on a connection of its own, which users a database has; by default the fresh one."""

    async def emails(where: str = url) -> list[str]:
        engine = create_async_engine(where, poolclass=NullPool)
        async with engine.connect() as connection:
            found = list(await connection.scalars(select(User.email).order_by(User.email)))
        await engine.dispose()
        return found

    return emails


@pytest.fixture
def existing(url: str) -> Callable[..., Awaitable[None]]:
    """Store users beforehand, on a connection of its own."""

    async def store(*emails: str, where: str = url) -> None:
        engine = create_async_engine(where, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(insert(User), [{"email": each} for each in emails])
        await engine.dispose()

    return store


@pytest.fixture
def deferred_orders(url: str) -> Callable[..., Awaitable[None]]:
    """Make a table whose foreign key is checked at COMMIT: `deferred_orders (id, user_id)`."""

    async def make(where: str = url) -> None:
        engine = create_async_engine(where, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    "CREATE TABLE deferred_orders (id INTEGER PRIMARY KEY, user_id INTEGER "
                    "REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)"
                )
            )
        await engine.dispose()

    return make
