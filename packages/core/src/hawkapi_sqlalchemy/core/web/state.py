"""What an application knows of its databases."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable

from hawkapi import HawkAPI

from hawkapi_sqlalchemy.core.database import Database
from hawkapi_sqlalchemy.core.web.client_positions import ClientPositions
from hawkapi_sqlalchemy.core.web.read_your_writes import ReadYourWrites

__all__ = ["STATE", "CommitWhen", "DatabaseState", "is_success"]

STATE = "_hawkapi_sqlalchemy"
"""Where an application carries what we know of it; the two end together."""

type CommitWhen = Callable[[int], bool]
"""Decides by the response's status whether the request's transaction is committed."""


def is_success(status: int) -> bool:
    """Commit below 400: the default of `init_database(commit_when=...)`."""
    return status < 400  # the first status that reports a failure


class DatabaseState:
    """One application's Database, and how its requests use it.

    Args:
        app: The application.
        database: Its Database.
    """

    def __init__(self, app: HawkAPI, database: Database) -> None:
        self.app = app
        self.database = database
        self.commit_when: CommitWhen = is_success
        self.startup_timeout: float | None = None
        self.drain_timeout = 0.0
        self.workers: int | None = None
        self.in_flight = 0
        self.client_positions: ClientPositions | None = None
        self.is_mounted = False
        self.adopted: weakref.WeakSet[HawkAPI] = weakref.WeakSet()
        self._replaced: list[Database] = []

    def use(
        self,
        database: Database,
        *,
        commit_when: CommitWhen,
        startup_timeout: float | None,
        drain_timeout: float,
        workers: int | None,
        read_your_writes: ReadYourWrites | None,
    ) -> None:
        """Use a Database from now on; one that was used before is disposed at shut-down."""
        if database is not self.database:
            self._replaced.append(self.database)
        self.database = database
        self.commit_when = commit_when
        self.startup_timeout = startup_timeout
        self.drain_timeout = drain_timeout
        self.workers = workers
        self.client_positions = (
            None if read_your_writes is None else ClientPositions(read_your_writes)
        )

    async def drain(self) -> None:
        """Wait for the requests under way, then dispose every engine.

        HawkAPI waits for its requests only after this hook, so the waiting is done here.
        """
        replaced, self._replaced = self._replaced, []
        async with contextlib.AsyncExitStack() as stack:
            # Run in any case, one after the other, whichever of them fails.
            for database in replaced:
                stack.push_async_callback(database.dispose)
            await self.database.drain(self.drain_timeout, busy=lambda: self.in_flight > 0)
