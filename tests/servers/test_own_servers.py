"""`own_server` and `own_postgres_pair`: servers that a test may harm."""

import socket

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import create_async_engine

from dbservers.replication import PostgreSQLPair
from dbservers.server import DatabaseServer
from dbservers.stoppable import is_open


async def insert(url: str, note: int) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            await connection.execute(
                text("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY)")
            )
            await connection.execute(text(f"INSERT INTO notes VALUES ({note})"))
    finally:
        await engine.dispose()


async def notes(url: str) -> list[int]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            return list(await connection.scalars(text("SELECT id FROM notes ORDER BY id")))
    finally:
        await engine.dispose()


async def test_a_killed_server_keeps_what_was_committed(own_server: DatabaseServer) -> None:
    url = own_server.url()
    await insert(url, 1)
    own_server.kill()
    assert not is_open(own_server.port)
    with pytest.raises((OSError, OperationalError)):
        await notes(url)
    own_server.start()
    assert await notes(url) == [1]


async def test_a_kill_ends_busy_connections_too(own_server: DatabaseServer) -> None:
    """A backend of PostgreSQL is a process of its own, and may outlive its parent."""
    engine = create_async_engine(own_server.url())
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            own_server.kill()
            with pytest.raises((DBAPIError, OSError)):
                await connection.execute(text("SELECT 1"))
            await connection.invalidate()
    finally:
        await engine.dispose()


async def test_a_restarted_server_keeps_its_port_and_data(own_server: DatabaseServer) -> None:
    url = own_server.url()
    await insert(url, 1)
    own_server.restart()
    assert own_server.url() == url
    assert await notes(url) == [1]
    own_server.stop()
    assert not own_server.running


def test_a_paused_server_accepts_but_does_not_answer(own_server: DatabaseServer) -> None:
    own_server.pause()
    with socket.create_connection((own_server.host, own_server.port), timeout=0.3) as client:
        # PostgreSQL waits for the client's first word, MariaDB speaks first.
        client.sendall(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
        with pytest.raises(TimeoutError):
            client.recv(1)
    own_server.resume()
    assert own_server.execute("SELECT 1") == [(1,)]


async def test_databases_can_be_created_on_it(own_server: DatabaseServer) -> None:
    url = own_server.url(own_server.create_database())
    await insert(url, 1)
    assert await notes(url) == [1]


async def test_a_promoted_standby_takes_over(own_postgres_pair: PostgreSQLPair) -> None:
    await insert(own_postgres_pair.primary_url, 1)
    own_postgres_pair.wait_for_catch_up()
    own_postgres_pair.primary.kill()
    with pytest.raises(DBAPIError, match="read-only"):
        await insert(own_postgres_pair.standby_url, 2)
    own_postgres_pair.promote()
    await insert(own_postgres_pair.standby_url, 2)
    assert await notes(own_postgres_pair.standby_url) == [1, 2]


async def test_a_restarted_standby_streams_on(own_postgres_pair: PostgreSQLPair) -> None:
    own_postgres_pair.standby.kill()
    await insert(own_postgres_pair.primary_url, 1)
    own_postgres_pair.standby.start()
    own_postgres_pair.wait_for_catch_up()
    assert await notes(own_postgres_pair.standby_url) == [1]
