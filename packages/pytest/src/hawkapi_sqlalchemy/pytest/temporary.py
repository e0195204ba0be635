"""Databases that exist for the length of a test."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy import URL, MetaData
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import Database, DatabaseConfig
from hawkapi_sqlalchemy.pytest._shield import finished
from hawkapi_sqlalchemy.pytest.own_database import database_of_its_own


@asynccontextmanager
async def temporary_database(
    metadata: MetaData, *, url: str | URL = "sqlite+aiosqlite://"
) -> AsyncGenerator[Database]:
    """Provide a `Database` whose "primary" is new and holds the tables of `metadata`.

    What a test leaves behind is gone afterwards, whether it passed, failed or
    was cancelled: the schema is dropped, connections are closed, and a database
    that was made for it is removed.

    Args:
        metadata: Whose tables to create.
        url: Where. In-memory SQLite by default; for a SQLite file, another file
            in a temporary folder. For a PostgreSQL, MariaDB or MySQL server, a
            database with a name of its own on that server: the URL's user needs
            the right to create one, and the URL's own database is not touched.

    Yields:
        The database; open sessions with `database.session()`.

    Raises:
        ValueError: `url` is of a kind of server that no database can be made on.
        ConfigurationError: `url` cannot be parsed, or its driver is not async.

    Examples:
        >>> import asyncio
        >>> from sqlalchemy import Column, Integer, MetaData, Table, select
        >>> metadata = MetaData()
        >>> pets = Table("pets", metadata, Column("id", Integer, primary_key=True))
        >>> async def count() -> int:
        ...     async with temporary_database(metadata) as database:
        ...         async with database.session() as session:
        ...             return len((await session.execute(select(pets))).all())
        >>> asyncio.run(count())
        0
    """
    asked_for = DatabaseConfig(url=url).sqlalchemy_url
    async with database_of_its_own(asked_for) as private_url:
        database = Database()
        try:
            engine = database.add("primary", DatabaseConfig(url=private_url)).engine
            async with engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
            yield database
            if engine.dialect.name == "sqlite" and not database.checked_out:
                # A server's database is dropped as a whole, and SQLite's is removed with
                # its file or its memory: neither waits for the locks of a session that a
                # test left open.
                async with engine.begin() as connection:
                    await connection.run_sync(metadata.drop_all)
        finally:
            await finished(database.dispose())


@asynccontextmanager
async def temporary_session(
    metadata: MetaData, *, url: str | URL = "sqlite+aiosqlite://"
) -> AsyncGenerator[AsyncSession]:
    """Provide a session on a temporary database.

    The session is rolled back and closed at the end, and the database is gone;
    a test may call `commit()` meanwhile.

    Args:
        metadata: Whose tables to create.
        url: Where, as for `temporary_database`.

    Yields:
        The session.

    Raises:
        ValueError: `url` is of a kind of server that no database can be made on.
        ConfigurationError: `url` cannot be parsed, or its driver is not async.
    """
    async with (
        temporary_database(metadata, url=url) as database,
        database.session(commit=False) as session,
    ):
        yield session
