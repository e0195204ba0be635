"""What is looked at when the application starts: do the databases answer, do the pools fit."""

from __future__ import annotations

import asyncio
import logging
import os

from sqlalchemy.exc import SQLAlchemyError

from hawkapi_sqlalchemy.core.engine import Engine
from hawkapi_sqlalchemy.core.errors import DatabaseUnavailableError
from hawkapi_sqlalchemy.core.events import address_of
from hawkapi_sqlalchemy.core.names import PRIMARY
from hawkapi_sqlalchemy.core.routing.condition import ReplicaState
from hawkapi_sqlalchemy.core.web.state import DatabaseState

__all__ = ["Startup"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_PAUSE = 0.25


class Startup:
    """The start-up hook.

    Args:
        state: The application's databases.
    """

    def __init__(self, state: DatabaseState) -> None:
        self._state = state

    async def __call__(self) -> None:
        """Wait for the primary, look at the others, compare the pools with the servers.

        Replicas are looked at from now on; one that is down holds up nothing.

        Raises:
            DatabaseUnavailableError: The primary did not answer in time.
        """
        if self._state.client_positions is not None:
            self._state.client_positions.settings.warn_of_short_secrets()
        limit = self._state.startup_timeout
        if limit is None:
            return
        database = self._state.database
        await database.start_replicas()
        replicas = database.replicas
        engines = [engine for name, engine in database.engines.items() if name not in replicas]
        for name, status in replicas.items():
            if status.state is ReplicaState.UP:
                await self._compare(database.engines[name])
        failures = await asyncio.gather(*(self._reach(engine, limit) for engine in engines))
        for engine, failure in zip(engines, failures, strict=True):
            if failure is None:
                await self._compare(engine)
            elif engine.name == PRIMARY:
                raise DatabaseUnavailableError(failure)
            else:
                logger.warning("%s; starting without it", failure)

    async def _reach(self, engine: Engine, limit: float) -> str | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + limit
        where = address_of(engine.config.sqlalchemy_url)
        announced = False
        while True:
            reason = "no answer"
            try:
                async with asyncio.timeout_at(deadline):
                    await engine.probe()
            except TimeoutError:
                pass
            except (SQLAlchemyError, OSError) as error:
                reason = str(getattr(error, "reason", error)).partition("\n")[0]
            else:
                return None
            if loop.time() + _PAUSE >= deadline:
                return (
                    f"database {engine.name!r} at {where} did not answer within {limit:g} s: "
                    f"{reason}"
                )
            if not announced:
                logger.info("waiting for database %r at %s: %s", engine.name, where, reason)
                announced = True
            await asyncio.sleep(_PAUSE)

    async def _compare(self, engine: Engine) -> None:
        limits = engine.pool_limits
        if limits is None:
            return
        try:
            accepted = await engine.max_connections()
        except (SQLAlchemyError, OSError) as error:
            logger.warning("database %r: max_connections is unknown: %s", engine.name, error)
            return
        if accepted is None:
            return
        size, overflow = limits
        workers = self._state.workers or _web_concurrency()
        wanted = workers * engine.pools * (size + overflow)
        if wanted > accepted:
            logger.warning(
                "database %r: %d workers with up to %d + %d connections each%s may open %d, but "
                "the server accepts %d; lower pool_size or max_overflow, or put a pooler in front",
                engine.name,
                workers,
                size,
                overflow,
                " in two pools" if engine.pools > 1 else "",
                wanted,
                accepted,
            )


def _web_concurrency() -> int:
    """Read how many processes a server was told to run; 1 if it was not told a number."""
    told = os.environ.get("WEB_CONCURRENCY", "")
    return int(told) if told.isdecimal() else 1
