"""Limits on statements, locks and idle transactions, kept by the server itself."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.core.access import Access
from hawkapi_sqlalchemy.core.dialects.mysql import session_settings
from hawkapi_sqlalchemy.core.faults import Fault, fault_of

LIMITS = {"statement_timeout": 2.5, "lock_timeout": 1.2, "idle_in_transaction_timeout": 7}


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize("access", Access)
async def test_postgresql_has_the_limits_in_every_session(
    access: Access, database_url: str, make_database: Any
) -> None:
    database: Database = make_database(database_url, **LIMITS)
    async with database.open(access=access) as session:
        shown = [
            await session.scalar(text(f"SHOW {name}"))
            for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        ]
    assert shown == ["2500ms", "1200ms", "7s"]


@pytest.mark.dialects("postgresql")
async def test_a_limit_below_a_millisecond_does_not_become_no_limit(
    database_url: str, make_database: Any
) -> None:
    database: Database = make_database(database_url, lock_timeout=0.0001)
    async with database.session() as session:
        assert await session.scalar(text("SHOW lock_timeout")) == "1ms"


@pytest.mark.dialects("mariadb")
@pytest.mark.parametrize("access", Access)
async def test_mariadb_has_the_limits_in_every_session(
    access: Access, database_url: str, make_database: Any
) -> None:
    database: Database = make_database(database_url, **LIMITS)
    async with database.open(access=access) as session:
        row = (
            await session.execute(
                text(
                    "SELECT @@max_statement_time, @@innodb_lock_wait_timeout,"
                    " @@idle_transaction_timeout"
                )
            )
        ).one()
    assert (float(row[0]), row[1], row[2]) == (2.5, 2, 7)


@pytest.mark.dialects("postgresql", "mariadb")
async def test_without_limits_the_servers_own_hold(
    dialect: str, database_url: str, make_database: Any
) -> None:
    database: Database = make_database(database_url)
    name = "SHOW statement_timeout" if dialect == "postgresql" else "SELECT @@max_statement_time"
    async with database.session() as session:
        assert str(await session.scalar(text(name))) in {"0", "0.000000", "0.0"}


LONG = {
    "sqlite": "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
    "SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
    "mariadb": "SELECT count(*) FROM seq_1_to_1000000000 a JOIN seq_1_to_1000000000 b",
}


async def test_a_statement_that_takes_too_long_is_cancelled_and_the_connection_goes_on(
    dialect: str, database_url: str, make_database: Any
) -> None:
    database: Database = make_database(database_url, statement_timeout=0.2, pool_size=1)
    async with asyncio.timeout(20):
        with pytest.raises(DBAPIError) as caught:
            async with database.session() as session:
                await session.execute(text(LONG[dialect]))
        assert fault_of(caught.value) is Fault.STATEMENT_TIMEOUT
        async with database.session() as session:
            assert await session.scalar(text("SELECT 1")) == 1
            with pytest.raises(DBAPIError) as caught:
                await session.execute(text(LONG[dialect]))
            await session.rollback()
            assert await session.scalar(text("SELECT 2")) == 2
    assert database.checked_out == 0


@pytest.mark.dialects("sqlite")
async def test_an_sqlite_limit_is_for_each_statement_not_for_the_session(
    database_url: str, make_database: Any
) -> None:
    database: Database = make_database(database_url, statement_timeout=0.5)
    busy = text(
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) "
        "SELECT count(*) FROM n"
    )
    async with asyncio.timeout(20), database.session() as session:
        await session.scalar(text("SELECT 1"))
        await asyncio.sleep(0.6)
        for _ in range(3):
            assert await session.scalar(busy) == 20_000


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_lock_that_is_not_had_in_time_is_an_error(
    counters: str, make_database: Any
) -> None:
    """MariaDB takes whole seconds, hence its one."""
    database: Database = make_database(counters, lock_timeout=0.2)
    async with asyncio.timeout(20), database.session() as holder:
        await holder.execute(text("UPDATE counters SET n = 1 WHERE id = 1"))
        with pytest.raises(DBAPIError) as caught:
            async with database.session() as session:
                await session.execute(text("UPDATE counters SET n = 2 WHERE id = 1"))
    assert fault_of(caught.value) is Fault.LOCK_TIMEOUT


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_transaction_that_idles_too_long_is_ended_by_the_server(
    counters: str, ask: Any, make_database: Any
) -> None:
    """MariaDB takes whole seconds, hence its one. The lock is free then; the pool heals."""
    database: Database = make_database(counters, idle_in_transaction_timeout=0.2)
    patient: Database = make_database(counters)
    async with asyncio.timeout(20):
        session = database.open()
        await session.execute(text("UPDATE counters SET n = 1 WHERE id = 1"))
        async with patient.session() as other:
            await other.execute(text("UPDATE counters SET n = n + 10 WHERE id = 1"))
        with pytest.raises(DBAPIError) as caught:
            await session.commit()
        assert fault_of(caught.value) is Fault.UNREACHABLE
        await session.close()
        async with database.session() as again:
            assert await again.scalar(text("SELECT n FROM counters WHERE id = 1")) == 10
    assert database.checked_out == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"mariadb": False}, {}),
        ({"mariadb": True}, {}),
        ({"mariadb": False, "statement_timeout": 1.5}, {"max_execution_time": "1500"}),
        ({"mariadb": False, "statement_timeout": 0.0001}, {"max_execution_time": "1"}),
        ({"mariadb": True, "statement_timeout": 1.5}, {"max_statement_time": "1.500000"}),
        ({"mariadb": False, "lock_timeout": 1.2}, {"innodb_lock_wait_timeout": "2"}),
        ({"mariadb": True, "lock_timeout": 1.2}, {"innodb_lock_wait_timeout": "2"}),
        ({"mariadb": False, "idle_in_transaction_timeout": 3}, {}),
        (
            {"mariadb": True, "idle_in_transaction_timeout": 2.1},
            {"idle_transaction_timeout": "3"},
        ),
    ],
)
def test_mysql_and_mariadb_have_variables_of_their_own(
    arguments: dict[str, Any], expected: dict[str, str]
) -> None:
    """MySQL cannot be had here, so its variables are tested as text."""
    none = dict.fromkeys(("statement_timeout", "lock_timeout", "idle_in_transaction_timeout"))
    assert session_settings(**{**none, **arguments}) == expected


@pytest.mark.parametrize("seconds", [0.000001, 0.0000001, 31536000.0])
def test_no_limit_is_written_as_zero_or_with_an_exponent(seconds: float) -> None:
    """Zero would be no limit at all, and `1e-07` is no literal for every server."""
    for mariadb in (True, False):
        [value] = session_settings(
            mariadb=mariadb,
            statement_timeout=seconds,
            lock_timeout=None,
            idle_in_transaction_timeout=None,
        ).values()
        assert float(value) > 0
        assert "e" not in value
