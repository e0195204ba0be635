"""The application that uvicorn serves: items, written to the primary and read from replicas."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from hawkapi import Depends, HawkAPI
from sqlalchemy import Insert, String, literal_column, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hawkapi_sqlalchemy.core import Database, get_replica_session, get_session, init_database
from replica_service.settings import VARIABLE, Settings

__all__ = ["Base", "Item", "create", "create_app"]

# What names the server that answers.
_PORTS = {"postgresql": "inet_server_port()", "mysql": "@@port", "mariadb": "@@port", "sqlite": "0"}


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"

    key: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[str] = mapped_column(String(200))


def create() -> HawkAPI:
    """Make the application that the environment describes."""
    return create_app(Settings.loads(os.environ[VARIABLE]))


def create_app(settings: Settings) -> HawkAPI:
    """Make the application.

    `POST /items?key=&value=` stores, `GET /items?key=` reads from a replica, `GET
    /primary-items?key=` from the primary, `GET /visits?key=&value=` stores although it is a GET,
    and `GET /replicas` tells what the Database knows of its replicas. The first four answer
    `{"value": ..., "port": ...}`, the port being that of the server that did it.
    """
    app = HawkAPI()
    database = init_database(app, **settings.arguments())

    @app.post("/items")
    async def store(key: str, value: str, session: AsyncSession = Depends(get_session)) -> dict:
        return await _store(session, key, value)

    @app.get("/items")
    async def read(key: str, session: AsyncSession = Depends(get_replica_session)) -> dict:
        return await _read(session, key)

    @app.get("/primary-items")
    async def read_primary(key: str, session: AsyncSession = Depends(get_session)) -> dict:
        return await _read(session, key)

    @app.get("/visits")
    async def visit(key: str, value: str, session: AsyncSession = Depends(get_session)) -> dict:
        return await _store(session, key, value)

    @app.get("/replicas")
    async def replicas() -> dict:
        return {"replicas": told(database)}

    return app


async def _store(session: AsyncSession, key: str, value: str) -> dict[str, Any]:
    dialect = session.get_bind().dialect.name
    await session.execute(_upsert(dialect, key, value))
    port = await session.scalar(select(literal_column(_PORTS[dialect])))
    return {"value": value, "port": port}


async def _read(session: AsyncSession, key: str) -> dict[str, Any]:
    # In one statement, so that both are of one server, whatever a session does between two.
    found = select(Item.value).where(Item.key == key).scalar_subquery()
    port = literal_column(_PORTS[session.get_bind().dialect.name])
    row = (await session.execute(select(found, port))).one()
    return {"value": row[0], "port": row[1]}


def _upsert(dialect: str, key: str, value: str) -> Insert:
    if dialect in {"mysql", "mariadb"}:
        insert = mysql.insert(Item).values(key=key, value=value)
        return insert.on_duplicate_key_update(value=insert.inserted.value)
    namespace = postgresql if dialect == "postgresql" else sqlite
    insert = namespace.insert(Item).values(key=key, value=value)
    return insert.on_conflict_do_update(
        index_elements=[Item.key], set_={"value": insert.excluded.value}
    )


def told(database: Database) -> Any:
    """Tell what a Database knows of its replicas, as JSON can hold it."""
    return _plain(getattr(database, "replicas", None))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {each.name: _plain(getattr(value, each.name)) for each in fields}
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
