"""A name that is not registered never takes writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hawkapi import Depends, HawkAPI
from hawkapi.routing import Router
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import StartupFailedError, call, lifespan
from hawkapi_sqlalchemy.core import (
    ReadOnlyError,
    UnknownDatabaseError,
    UnknownDatabaseWarning,
    get_replica_session,
    session_for,
)
from schema import User

get_unknown = session_for("nope")
read_unknown = session_for("nope", commit=False)


async def direct(session: AsyncSession = Depends(get_unknown)) -> AsyncSession:
    return session


async def nested(session: AsyncSession = Depends(direct)) -> AsyncSession:
    return session


def in_the_handler(app: HawkAPI) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(get_unknown)) -> dict:
        session.add(User(email="ada"))
        return {}


def below_a_dependency(app: HawkAPI) -> None:
    @app.post("/users")
    async def create(session: AsyncSession = Depends(nested)) -> dict:
        session.add(User(email="ada"))
        return {}


def on_the_route(app: HawkAPI) -> None:
    @app.post("/users", dependencies=[Depends(nested)])
    async def create() -> dict:
        return {}


def on_a_router(app: HawkAPI) -> None:
    router = Router()
    in_the_handler(router)
    app.include_router(router)


everywhere = pytest.mark.parametrize(
    "place", [in_the_handler, below_a_dependency, on_the_route, on_a_router]
)


@everywhere
async def test_a_writing_session_is_refused_at_start_up(
    new_app, lone, url: str, other_url: str, place: Callable
) -> None:
    app = new_app(databases={"primary": lone(url), "analytics": lone(other_url)})
    place(app)

    with pytest.raises(StartupFailedError) as refused:
        async with lifespan(app):
            pass
    for name in ("'nope'", "'primary'", "'analytics'"):
        assert name in str(refused.value)


@everywhere
async def test_a_writing_session_is_refused_at_the_request(
    new_app, lone, url: str, other_url: str, stored, place: Callable, caplog
) -> None:
    """Nothing may depend on start-up having run."""
    app = new_app(databases={"primary": lone(url), "analytics": lone(other_url)})
    place(app)

    reply = await call(app, "POST", "/users")

    assert reply.status == 500
    assert "no database is registered as 'nope'" in caplog.text
    assert await stored() == []
    assert await stored(other_url) == []


async def test_the_error_lists_the_registered_names(app: HawkAPI) -> None:
    with pytest.raises(UnknownDatabaseError, match="registered: 'primary'") as refused:
        async with app.state.db.session("nope"):
            pass
    assert (refused.value.name, refused.value.registered) == ("nope", ("primary",))


async def test_a_known_name_starts_up(new_app, lone, url: str, other_url: str) -> None:
    app = new_app(databases={"primary": lone(url), "nope": lone(other_url)})
    in_the_handler(app)

    async with lifespan(app):
        assert (await call(app, "POST", "/users")).status == 201


async def test_a_reading_session_falls_back_read_only_and_with_a_warning(
    app: HawkAPI, existing, stored
) -> None:
    refused: list[Exception] = []

    @app.get("/users")
    async def read(session: AsyncSession = Depends(read_unknown)) -> list[str]:
        found = list(await session.scalars(select(User.email)))
        with pytest.raises(ReadOnlyError) as error:
            await session.execute(text("INSERT INTO users (email) VALUES ('late')"))
        refused.append(error.value)
        return found

    await existing("ada")
    with pytest.warns(UnknownDatabaseWarning, match=r"'nope'.*'primary'"):
        reply = await call(app, "GET", "/users")

    assert reply.json() == ["ada"]
    assert refused
    assert await stored() == ["ada"]


async def test_a_reading_session_of_an_unknown_name_does_not_hinder_start_up(
    app: HawkAPI,
) -> None:
    @app.get("/users")
    async def read(session: AsyncSession = Depends(read_unknown)) -> dict:
        return {}

    async with lifespan(app):
        pass


async def test_without_a_replica_the_primary_is_read_and_no_warning_given(
    app: HawkAPI, existing
) -> None:
    @app.get("/users")
    async def read(session: AsyncSession = Depends(get_replica_session)) -> list[str]:
        return list(await session.scalars(select(User.email)))

    await existing("ada")

    assert (await call(app, "GET", "/users")).json() == ["ada"]


@pytest.mark.dialects("sqlite")
async def test_with_a_replica_it_is_read(new_app, lone, url: str, other_url: str, existing) -> None:
    """Another database of the same server is found to follow nobody; of SQLite's, nobody asks."""
    app = new_app(databases={"primary": lone(url), "replica": lone(other_url)})

    @app.get("/users")
    async def read(session: AsyncSession = Depends(get_replica_session)) -> list[str]:
        return list(await session.scalars(select(User.email)))

    await existing("primary's")
    await existing("replica's", where=other_url)

    assert (await call(app, "GET", "/users")).json() == ["replica's"]
