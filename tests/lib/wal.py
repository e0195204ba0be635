"""A server as tests of PostgreSQL's replication ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from sqlalchemy import make_url

from hawkapi_sqlalchemy.core.routing.replication import ReplicaView


async def connect(url: str, **arguments: Any) -> Any:
    """Connect with asyncpg alone."""
    parsed = make_url(url)
    return await asyncpg.connect(
        host=parsed.host,
        port=parsed.port,
        user=parsed.username,
        password=parsed.password,
        database=parsed.database,
        ssl=False,
        **arguments,
    )


async def until(
    look: Callable[[], Awaitable[ReplicaView]], holds: Callable[[ReplicaView], object]
) -> ReplicaView:
    """Look until something holds of the replica."""
    async with asyncio.timeout(30):
        while not holds(view := await look()):  # noqa: ASYNC110  # the server tells nobody
            await asyncio.sleep(0.02)
    return view
