"""A password that is asked for at each new connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import make_url, text

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import CannotConnectError, Database
from hawkapi_sqlalchemy.pytest.servers.server import new_name

pytestmark = pytest.mark.dialects("postgresql", "mariadb")


class Account:
    """A user of the server whose password can be changed."""

    def __init__(self, server: DatabaseServer, dialect: str, database: str) -> None:
        self.name = new_name()
        self.password = ""
        self.asked = 0
        self._server = server
        self._quoted = f'"{self.name}"' if dialect == "postgresql" else f"'{self.name}'@'%'"
        if dialect == "postgresql":
            server.execute(f"CREATE ROLE {self._quoted} LOGIN")
        else:
            server.execute(f"CREATE USER {self._quoted}")
            server.execute(f"GRANT ALL ON `{database}`.* TO {self._quoted}")
        self._set = "PASSWORD" if dialect == "postgresql" else "IDENTIFIED BY"

    def rotate(self, password: str) -> None:
        self.password = password
        self._server.execute(f"ALTER USER {self._quoted} {self._set} '{password}'")

    def drop(self) -> None:
        self._server.execute(f"DROP USER {self._quoted}")

    def ask(self) -> str:
        self.asked += 1
        return self.password

    async def ask_later(self) -> str:
        await asyncio.sleep(0)
        return self.ask()


@pytest.fixture
async def account(
    database_url: str, dialect: str, database_server: DatabaseServer
) -> AsyncIterator[Account]:
    account = Account(database_server, dialect, str(make_url(database_url).database))
    account.rotate("first")
    yield account
    account.drop()


@pytest.fixture(params=["sync", "async"])
def callable_password(
    request: pytest.FixtureRequest, account: Account
) -> Callable[[], str] | Callable[[], Awaitable[str]]:
    return account.ask if request.param == "sync" else account.ask_later


@pytest.fixture
def account_url(account: Account, database_url: str) -> str:
    url = make_url(database_url).set(username=account.name, password=None)
    return url.render_as_string(hide_password=False)


async def test_a_rotated_password_is_used_for_the_next_connection(
    account: Account, account_url: str, callable_password: Any, make_database: Any
) -> None:
    database: Database = make_database(account_url, password=callable_password)
    async with database.session() as first:
        assert await first.scalar(text("SELECT 1")) == 1
        assert account.asked == 1
        account.rotate("second")
        async with database.session() as second:
            assert await second.scalar(text("SELECT 2")) == 2
        assert account.asked == 2
    async with database.session() as session:
        assert await session.scalar(text("SELECT 3")) == 3
    assert account.asked == 2, "a pooled connection needs no password"
    await database.dispose()


async def test_connections_opened_at_once_each_ask(
    account: Account, account_url: str, callable_password: Any, make_database: Any
) -> None:
    database: Database = make_database(account_url, password=callable_password)
    barrier = asyncio.Barrier(5)

    async def use() -> None:
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
            await barrier.wait()

    async with asyncio.timeout(20):
        await asyncio.gather(*(use() for _ in range(5)))
    assert account.asked == 5
    await database.dispose()


async def test_a_health_probe_past_an_exhausted_pool_asks_too(
    account: Account, account_url: str, callable_password: Any, make_database: Any
) -> None:
    database: Database = make_database(
        account_url, password=callable_password, pool_size=1, max_overflow=0
    )
    async with database.session() as session:
        await session.execute(text("SELECT 1"))
        account.rotate("second")
        await database.get().probe()
    assert account.asked == 2
    await database.dispose()


async def test_a_stale_password_is_an_error_and_the_right_one_heals(
    account: Account, account_url: str, make_database: Any
) -> None:
    database: Database = make_database(account_url, password=account.ask)
    account.password = "stale"
    with pytest.raises(CannotConnectError):
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
    account.password = "first"
    async with database.session() as session:
        assert await session.scalar(text("SELECT 1")) == 1
    await database.dispose()


async def test_a_password_given_as_text_wins_over_the_urls(
    account: Account, account_url: str, make_database: Any
) -> None:
    url = make_url(account_url).set(password="wrong").render_as_string(hide_password=False)
    database: Database = make_database(url, password="first")
    async with database.session() as session:
        assert await session.scalar(text("SELECT 1")) == 1
    await database.dispose()
