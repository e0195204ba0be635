"""`dialect`, `database_url` and their kin."""

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from dbservers.server import DatabaseServer

BACKENDS = {"sqlite": "sqlite", "postgresql": "postgresql", "mariadb": "mysql"}


async def execute(url: str, *statements: str) -> list[tuple]:
    """Execute statements in one transaction and return the rows of the last."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()


async def execute_each(url: str, *statements: str) -> None:
    """Execute statements in a transaction each, as those on databases must be."""
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
    finally:
        await engine.dispose()


def test_each_dialect_gets_its_own_driver(dialect: str, database_url: str) -> None:
    assert make_url(database_url).get_backend_name() == BACKENDS[dialect]


@pytest.mark.parametrize("attempt", [1, 2])
async def test_the_database_is_fresh_for_every_test(database_url: str, attempt: int) -> None:
    await execute(database_url, "CREATE TABLE fresh (id INTEGER PRIMARY KEY)")


async def test_two_databases_of_a_test_share_no_tables(
    database_url: str, other_database_url: str
) -> None:
    for url in (database_url, other_database_url):
        await execute(url, "CREATE TABLE fresh (id INTEGER PRIMARY KEY)")


async def test_text_beyond_the_basic_plane_survives(database_url: str) -> None:
    rows = await execute(
        database_url,
        "CREATE TABLE words (word VARCHAR(20))",
        "INSERT INTO words VALUES ('naïve 🦅')",
        "SELECT word FROM words",
    )
    assert rows == [("naïve 🦅",)]


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_wrong_password_is_refused(
    database_server: DatabaseServer, database_url: str
) -> None:
    database = make_url(database_url).database
    with pytest.raises(Exception, match=r"password authentication failed|Access denied"):
        await execute(database_server.url(str(database), password="wrong"), "SELECT 1")


@pytest.mark.dialects("postgresql", "mariadb")
async def test_the_user_may_create_databases(
    database_server: DatabaseServer, database_url: str
) -> None:
    """Users' own tests make a database of their own on the server they name."""
    name = f"{make_url(database_url).database}_more"
    await execute_each(database_url, f"CREATE DATABASE {name}", f"DROP DATABASE {name}")


@pytest.mark.dialects("postgresql")
async def test_the_user_may_clone_a_sealed_template_of_its_own(
    database_server: DatabaseServer, database_url: str
) -> None:
    template = f"{make_url(database_url).database}_template"
    clone = f"{template}_clone"
    await execute_each(
        database_url,
        f"CREATE DATABASE {template}",
        f"ALTER DATABASE {template} IS_TEMPLATE true ALLOW_CONNECTIONS false",
        f"CREATE DATABASE {clone} TEMPLATE {template}",
    )
    assert await execute(database_server.url(clone), "SELECT current_database()") == [(clone,)]
    await execute_each(
        database_url,
        f"DROP DATABASE {clone} WITH (FORCE)",
        f"ALTER DATABASE {template} IS_TEMPLATE false",
        f"DROP DATABASE {template}",
    )


@pytest.mark.dialects("postgresql", "mariadb")
async def test_the_user_may_end_its_own_connections(database_url: str) -> None:
    """Whoever drops a database must get rid of those that a test left open."""
    postgresql = database_url.startswith("postgresql")
    number = "SELECT pg_backend_pid()" if postgresql else "SELECT connection_id()"
    end = "SELECT pg_terminate_backend({})" if postgresql else "KILL {}"
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as left_open:
            victim = await left_open.scalar(text(number))
            await execute(database_url, end.format(victim))
            with pytest.raises(DBAPIError):
                await left_open.execute(text("SELECT 1"))
            await left_open.invalidate()
    finally:
        await engine.dispose()


async def test_connections_are_counted_and_ended_from_outside(
    database_server: DatabaseServer, database_url: str
) -> None:
    database = str(make_url(database_url).database)
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as first, engine.connect() as second:
            await first.execute(text("SELECT 1"))
            await second.execute(text("SELECT 1"))
            assert database_server.count_connections(database) == 2
            database_server.disconnect(database)
            with pytest.raises(DBAPIError):
                await first.execute(text("SELECT 1"))
            await first.invalidate()
            await second.invalidate()
    finally:
        await engine.dispose()


async def test_a_database_in_use_can_be_dropped(database_server: DatabaseServer) -> None:
    """A test that leaks a transaction must not stop the run."""
    name = database_server.create_database()
    engine = create_async_engine(database_server.url(name))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE t (id INTEGER)"))
            await connection.execute(text("SELECT * FROM t"))
            database_server.drop_database(name)
            await connection.invalidate()
    finally:
        await engine.dispose()
    assert name not in databases_of(database_server)


def databases_of(server: DatabaseServer) -> set[str]:
    sql = (
        "SELECT datname FROM pg_database"
        if server.driver.startswith("postgresql")
        else "SHOW DATABASES"
    )
    return {row[0] for row in server.execute(sql)}
