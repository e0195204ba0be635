"""Whether databases answer, within a time limit that holds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core.database import Database
from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.names import PRIMARY

__all__ = ["all_healthy", "database_healthy", "session_healthy"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_TIMEOUT = 2.0

_stragglers: set[asyncio.Task[bool]] = set()
"""Probes past their time limit, held until their cancellation has gone through."""


async def _answers(probe: Awaitable[object]) -> bool:
    try:
        await probe
    except Exception as error:  # noqa: BLE001  # a probe answers, whatever it meets
        logger.debug("health probe failed: %s", type(error).__name__)
        return False
    return True


async def _within(probes: Iterable[Awaitable[object]], timeout: float) -> list[bool]:
    tasks = [asyncio.ensure_future(_answers(probe)) for probe in probes]
    if not tasks:
        return []
    try:
        await asyncio.wait(tasks, timeout=timeout)
    finally:
        for task in tasks:
            # A cancelled probe may still wait for a hanging server to let go: the caller does not.
            if not task.done():
                task.cancel()
                _stragglers.add(task)
                task.add_done_callback(_stragglers.discard)
    return [task.done() and not task.cancelled() and task.result() for task in tasks]


async def session_healthy(session: AsyncSession, *, timeout: float = _TIMEOUT) -> bool:
    """Tell whether a session's database answers.

    Args:
        session: The session; a failed probe leaves its transaction aborted.
        timeout: Seconds after which the answer is `False`. Default 2.
    """
    return (await _within([session.execute(text("SELECT 1"))], timeout))[0]


async def database_healthy(
    database: Database | Engine, name: str = PRIMARY, *, timeout: float = _TIMEOUT
) -> bool:
    """Tell whether one database answers.

    Args:
        database: The Database, or an Engine of it.
        name: Which one of the Database. Default `"primary"`.
        timeout: Seconds after which the answer is `False`. Default 2.

    Raises:
        UnknownDatabaseError: Nothing is registered under the name, and there is no primary.
    """
    engine = database if isinstance(database, Engine) else database.get(name)
    return (await _within([engine.probe()], timeout))[0]


async def all_healthy(database: Database, timeout: float = _TIMEOUT) -> dict[str, bool]:
    """Ask all databases at once whether they answer.

    A pool with no free connection is passed by with a connection of the probe's own, so that load
    does not look like an outage.

    Args:
        database: The Database.
        timeout: Seconds; what has not answered by then counts as `False`, and the function
            returns. Default 2.

    Returns:
        Name to whether it answered: `{"primary": True, "replica": True}`.
    """
    engines = database.engines
    answers = await _within([engine.probe() for engine in engines.values()], timeout)
    return dict(zip(engines, answers, strict=True))
