"""`pgbouncer_url`: PgBouncer in transaction mode."""

import asyncio

import asyncpg
import pytest
from sqlalchemy import make_url

from dbservers.pgbouncer import POOL_SIZE
from dbservers.postgresql import PostgreSQLServer


def plain(url: str) -> str:
    """Return the URL as asyncpg itself takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


async def test_many_clients_share_few_server_connections(
    pgbouncer_url: str, postgresql_server: PostgreSQLServer
) -> None:
    clients = await asyncio.gather(
        *(asyncpg.connect(plain(pgbouncer_url), statement_cache_size=0) for _ in range(20))
    )
    try:
        await asyncio.gather(*(client.execute("SELECT pg_sleep(0.01)") for client in clients))
        database = str(make_url(pgbouncer_url).database)
        assert 1 <= postgresql_server.count_connections(database) <= POOL_SIZE
    finally:
        await asyncio.gather(*(client.close() for client in clients))


async def test_a_transaction_gives_its_server_connection_back_at_its_end(
    pgbouncer_url: str,
) -> None:
    """What one client holds in a transaction, another gets afterwards."""
    clients = [
        await asyncpg.connect(plain(pgbouncer_url), statement_cache_size=0)
        for _ in range(POOL_SIZE + 1)
    ]
    *holders, waiter = clients
    try:
        transactions = [holder.transaction() for holder in holders]
        for transaction in transactions:
            await transaction.start()
        waiting = asyncio.create_task(waiter.execute("SELECT 1"))
        assert not (await asyncio.wait([waiting], timeout=0.2))[0]
        for transaction in transactions:
            await transaction.rollback()
        assert await asyncio.wait_for(waiting, 10) == "SELECT 1"
    finally:
        for client in clients:
            await client.close()


async def test_a_wrong_password_is_refused(pgbouncer_url: str) -> None:
    with pytest.raises(asyncpg.PostgresError, match="authentication failed"):
        await asyncpg.connect(plain(pgbouncer_url), password="wrong")
