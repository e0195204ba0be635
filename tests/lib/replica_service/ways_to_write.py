"""Handlers that store an item, each in its own way; `PATHS` names them."""

from __future__ import annotations

import asyncio
from typing import Any

from hawkapi import Depends, HawkAPI, Response
from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import Database, get_replica_session, get_session, get_split_session
from replica_service.application import Item

__all__ = ["PATHS", "add_routes"]

PATHS = (
    "/flushed",
    "/savepoint",
    "/own-commit",
    "/own-commit-then-error",
    "/rolled-back-afterwards",
    "/deleted",
    "/session",
    "/run",
    "/maker",
    "/engine",
    "/autocommit",
    "/split",
    "/tasks",
)
"""Each is POSTed to with `?key=`, and stores the value `1` (or deletes the item)."""


def add_routes(app: HawkAPI) -> None:
    """Give an application a route for each way, and some that read after they have written."""
    _add_request_sessions(app)
    _add_own_sessions(app)
    _add_readers(app)


def _add_request_sessions(app: HawkAPI) -> None:
    @app.post("/flushed")
    async def flushed(key: str, session: AsyncSession = Depends(get_session)) -> dict:
        session.add(Item(key=key, value="1"))
        return {}

    @app.post("/savepoint")
    async def savepoint(key: str, session: AsyncSession = Depends(get_session)) -> dict:
        async with session.begin_nested():
            session.add(Item(key=key, value="1"))
        return {}

    @app.post("/own-commit")
    async def own_commit(key: str, session: AsyncSession = Depends(get_session)) -> dict:
        session.add(Item(key=key, value="1"))
        await session.commit()
        return {}

    @app.post("/own-commit-then-error")
    async def then_error(key: str, session: AsyncSession = Depends(get_session)) -> dict:
        session.add(Item(key=key, value="1"))
        await session.commit()
        raise RuntimeError("after the COMMIT")

    @app.post("/rolled-back-afterwards")
    async def rolled_back(key: str, session: AsyncSession = Depends(get_session)) -> Response:
        session.add(Item(key=key, value="1"))
        await session.commit()
        session.add(Item(key=f"{key} not", value="1"))
        return Response(b"{}", status_code=400)

    @app.post("/deleted")
    async def deleted(key: str, session: AsyncSession = Depends(get_session)) -> dict:
        session.add(Item(key=key, value="0"))
        await session.flush()
        await session.execute(delete(Item).where(Item.key == key))
        session.add(Item(key=key, value="1"))
        return {}

    @app.post("/split")
    async def split(key: str, session: AsyncSession = Depends(get_split_session)) -> dict:
        assert await session.scalar(select(Item.value).where(Item.key == key)) is None
        session.add(Item(key=key, value="1"))
        return {}

    @app.post("/lazily")
    async def lazily(key: str, session: AsyncSession = Depends(get_session)) -> dict:
        await session.execute(text("SET LOCAL synchronous_commit = off"))
        session.add(Item(key=key, value="1"))
        return {}

    @app.post("/redirected")
    async def redirected(key: str, session: AsyncSession = Depends(get_session)) -> Response:
        session.add(Item(key=key, value="1"))
        return Response(b"", status_code=303, headers={"location": f"/items?key={key}"})


def _add_own_sessions(app: HawkAPI) -> None:
    @app.post("/session")
    async def own_session(key: str, db: Database) -> dict:
        async with db.session() as session:
            session.add(Item(key=key, value="1"))
        return {}

    @app.post("/run")
    async def run(key: str, db: Database) -> dict:
        async def unit(session: AsyncSession) -> None:
            session.add(Item(key=key, value="1"))

        await db.run(unit)
        return {}

    @app.post("/maker")
    async def maker(key: str, db: Database) -> dict:
        async with db.engines["primary"].sessionmaker.begin() as session:
            session.add(Item(key=key, value="1"))
        return {}

    @app.post("/engine")
    async def engine(key: str, db: Database) -> dict:
        async with db.engines["primary"].engine.begin() as connection:
            await connection.execute(insert(Item).values(key=key, value="1"))
        return {}

    @app.post("/autocommit")
    async def autocommit(key: str, db: Database) -> dict:
        engine = db.engines["primary"].engine.execution_options(isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(insert(Item).values(key=key, value="1"))
        return {}

    @app.post("/tasks")
    async def tasks(key: str, db: Database) -> dict:
        async def write(name: str) -> None:
            async with db.session() as session:
                session.add(Item(key=name, value="1"))

        async with asyncio.TaskGroup() as group:
            for name in (f"{key} before", key, f"{key} after"):
                group.create_task(write(name))
        return {}


def _add_readers(app: HawkAPI) -> None:
    @app.post("/and-read")
    async def and_read(
        key: str,
        session: AsyncSession = Depends(get_session),
        reader: AsyncSession = Depends(get_replica_session),
    ) -> dict:
        session.add(Item(key=key, value="1"))
        await session.commit()
        return {"value": await _value(reader, key)}

    @app.post("/read-and-read")
    async def read_and_read(
        key: str,
        session: AsyncSession = Depends(get_session),
        reader: AsyncSession = Depends(get_replica_session),
    ) -> dict:
        before = await _value(reader, key)
        session.add(Item(key=key, value="1"))
        uncommitted = await _value(reader, key)
        await session.commit()
        return {"values": [before, uncommitted, await _value(reader, key)]}

    @app.post("/snapshots")
    async def snapshots(
        key: str, db: Database, session: AsyncSession = Depends(get_session)
    ) -> dict:
        async with db.session("replica", commit=False, snapshot=True) as reader:
            first = await _value(reader, key)
            session.add(Item(key=key, value="1"))
            await session.commit()
            second = await _value(reader, key)
            await reader.rollback()
            return {"values": [first, second, await _value(reader, key)]}


async def _value(session: AsyncSession, key: str) -> Any:
    return await session.scalar(select(Item.value).where(Item.key == key))
