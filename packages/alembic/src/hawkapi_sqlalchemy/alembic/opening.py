"""Connections to a database that is migrated: one at a time, closed at their end."""

from collections.abc import Callable
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from hawkapi_sqlalchemy.alembic.errors import DatabaseUnreachableError, describe
from hawkapi_sqlalchemy.alembic.loops import run_to_end

__all__ = ["unreachable", "with_connection"]


def with_connection[T](engine: Engine | AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Call `work` with a connection, closed afterwards.

    Args:
        engine: An async one gets an event loop of its own, see `run_to_end`.
        work: What needs the connection.

    Returns:
        What `work` answers.

    Raises:
        DatabaseUnreachableError: There is no connection to be had.
        Exception: Whatever `work` raises.
    """
    if isinstance(engine, AsyncEngine):
        return run_to_end(_with_async_connection(engine, work))
    try:
        connection = engine.connect()
    except Exception as error:
        raise unreachable(engine.url, error) from error
    try:
        return work(connection)
    finally:
        connection.close()


async def _with_async_connection[T](engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    try:
        connection = await engine.connect()
    except Exception as error:
        raise unreachable(engine.url, error) from error
    try:
        return await connection.run_sync(work)
    finally:
        await connection.close()


def unreachable(url: URL, error: Exception) -> DatabaseUnreachableError:
    """Make the error of a connection that could not be opened.

    Args:
        url: Of the database; its user and password are left out.
        error: Whatever the driver raised: some of it comes past SQLAlchemy's own classes.
    """
    address = URL.create(url.drivername, host=url.host, port=url.port, database=url.database)
    reason = describe(error)
    for secret in {url.password, quote(url.password or ""), quote_plus(url.password or "")}:
        if secret:
            reason = reason.replace(secret, "***")
    return DatabaseUnreachableError(address.render_as_string(), reason)
