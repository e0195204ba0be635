"""The same commands, to be awaited."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate

from hawkapi_sqlalchemy.alembic.errors import describe
from hawkapi_sqlalchemy.alembic.program import Migrations
from hawkapi_sqlalchemy.alembic.stopping import stoppable

__all__ = ["AsyncMigrations"]

logger = logging.getLogger("hawkapi_sqlalchemy.alembic")


def _in_thread[**P, T](
    command: Callable[Concatenate[Migrations, P], T],
) -> Callable[Concatenate["AsyncMigrations", P], Coroutine[Any, Any, T]]:
    @wraps(command)
    async def run(self: "AsyncMigrations", /, *args: P.args, **kwargs: P.kwargs) -> T:
        with stoppable() as stop:
            # The thread gets a copy of the context, and so hears of this wish alone.
            work = asyncio.ensure_future(
                asyncio.to_thread(command, self.migrations, *args, **kwargs)
            )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await _end_of(work)
            raise

    return run


async def _end_of(work: asyncio.Future[Any]) -> None:
    # A migration that is cut off may be stored by half: it is let end, however often its caller
    # is cancelled.
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    if error := work.exception():
        logger.warning("a cancelled command failed: %s", describe(error))


class AsyncMigrations:
    """`Migrations` whose commands are awaited; the event loop goes on meanwhile.

    They run in a thread, `on_event` too. One that is cancelled first ends with the
    database under way, and leaves those after it.

    Args:
        migrations: What they are done with.

    Example:
        Migrate without holding up the loop:

            from hawkapi_sqlalchemy.alembic import AsyncMigrations, Migrations

            async def migrate() -> None:
                await AsyncMigrations(Migrations("alembic.ini")).upgrade()
    """

    def __init__(self, migrations: Migrations) -> None:
        self.migrations = migrations

    upgrade = _in_thread(Migrations.upgrade)
    downgrade = _in_thread(Migrations.downgrade)
    stamp = _in_thread(Migrations.stamp)
    current = _in_thread(Migrations.current)
    pending = _in_thread(Migrations.pending)
    check = _in_thread(Migrations.check)
    heads = _in_thread(Migrations.heads)
    history = _in_thread(Migrations.history)
    revision = _in_thread(Migrations.revision)
    merge = _in_thread(Migrations.merge)
    sql = _in_thread(Migrations.sql)
    sql_script = _in_thread(Migrations.sql_script)
