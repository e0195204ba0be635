"""Connections to a database that is migrated: one at a time, closed at their end."""

from collections.abc import Callable

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from hawkapi_sqlalchemy.alembic.errors import DatabaseUnreachableError, describe
from hawkapi_sqlalchemy.alembic.loops import run_to_end

__all__ = ["with_connection"]


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
        raise _unreachable(engine.url, error) from error
    try:
        return work(connection)
    finally:
        connection.close()


async def _with_async_connection[T](engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    try:
        connection = await engine.connect()
    except Exception as error:
        raise _unreachable(engine.url, error) from error
    try:
        return await connection.run_sync(work)
    finally:
        await connection.close()


def _unreachable(url: URL, error: Exception) -> DatabaseUnreachableError:
    # Drivers raise what they like here, some of it past SQLAlchemy's own classes.
    address = url.set(username=None, password=None, query={}).render_as_string()
    reason = describe(error)
    if url.password:
        reason = reason.replace(url.password, "***")
    return DatabaseUnreachableError(address, reason)
