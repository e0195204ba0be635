"""Connections to a database that is migrated: one at a time, closed at their end."""

import logging
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import tenacity
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from hawkapi_sqlalchemy.alembic.errors import DatabaseUnreachableError, describe
from hawkapi_sqlalchemy.alembic.loops import run_to_end

__all__ = ["unreachable", "with_connection"]

logger = logging.getLogger("hawkapi_sqlalchemy.alembic")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 2.0


def with_connection[T](
    engine: Engine | AsyncEngine, work: Callable[[Connection], T], *, wait: float = 0.0
) -> T:
    """Call `work` with a connection, closed afterwards.

    Args:
        engine: An async one gets an event loop of its own, see `run_to_end`.
        work: What needs the connection.
        wait: Seconds to try for, while there is none to be had.

    Returns:
        What `work` answers.

    Raises:
        DatabaseUnreachableError: There is no connection to be had.
        Exception: Whatever `work` raises.
    """

    def tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        if state.attempt_number == 1:
            logger.info("%s; waiting for it, up to %g s", error, wait)

    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_delay(wait),
        wait=tenacity.wait_exponential(_FIRST_PAUSE, max=_LONGEST_PAUSE),
        retry=tenacity.retry_if_exception_type(DatabaseUnreachableError),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(_connect_and, engine, work) if wait else _connect_and(engine, work)


def _connect_and[T](engine: Engine | AsyncEngine, work: Callable[[Connection], T]) -> T:
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
