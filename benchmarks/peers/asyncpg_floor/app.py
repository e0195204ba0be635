"""asyncpg's own pool without the statements it runs when a connection comes back: the floor."""

import asyncpg
from shared.by_asyncpg import create_app
from shared.settings import URL


async def leave_as_it_is(connection: asyncpg.pool.PoolConnectionProxy) -> None:
    """Do nothing, in place of `UNLOCK ALL; CLOSE ALL; UNLISTEN *; RESET ALL`."""


app = create_app(URL, reset=leave_as_it_is)
