"""One request, one session per database and access, whoever asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from hawkapi import Depends, HawkAPI, Request
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from hawkapi_sqlalchemy.core import get_replica_session, get_session, session_for
from schema import User

get_primary = session_for("primary")
get_other = session_for("other")
get_manual = session_for("primary", commit=False)


async def test_every_dependency_gets_the_same_session(app: HawkAPI, stored) -> None:
    seen: list[AsyncSession] = []

    async def direct(session: AsyncSession = Depends(get_session)) -> AsyncSession:
        seen.append(session)
        return session

    async def nested(session: AsyncSession = Depends(direct)) -> AsyncSession:
        seen.append(session)
        return session

    async def generator(
        session: Annotated[AsyncSession, Depends(get_session)],
    ) -> AsyncIterator[AsyncSession]:
        seen.append(session)
        yield session

    async def of_the_route(session: AsyncSession = Depends(get_primary)) -> None:
        seen.append(session)

    @app.post("/users", dependencies=[Depends(of_the_route)])
    async def create(
        request: Request,
        one: AsyncSession = Depends(nested),
        two: AsyncSession = Depends(generator),
        three: AsyncSession = Depends(get_session),
    ) -> dict:
        seen.extend([one, two, three, await get_session(request)])
        three.add(User(email="ada"))
        return {}

    assert (await call(app, "POST", "/users")).status == 201
    assert len(seen) == 8
    assert all(each is seen[0] for each in seen)
    assert await stored() == ["ada"]


async def test_what_one_dependency_wrote_another_reads(app: HawkAPI) -> None:
    async def writes(session: AsyncSession = Depends(get_session)) -> None:
        session.add(User(email="ada"))

    async def reads(session: AsyncSession = Depends(get_session)) -> list[str]:
        return list(await session.scalars(select(User.email)))

    @app.post("/users")
    async def create(_: None = Depends(writes), found: list = Depends(reads)) -> list:
        return found

    assert (await call(app, "POST", "/users")).json() == ["ada"]


async def test_requests_do_not_share_sessions(app: HawkAPI) -> None:
    seen: list[AsyncSession] = []

    @app.get("/")
    async def handler(session: AsyncSession = Depends(get_session)) -> dict:
        seen.append(session)
        return {}

    for _ in range(2):
        await call(app, "GET", "/")
    assert seen[0] is not seen[1]


async def test_other_databases_and_accesses_are_other_sessions(
    new_app, lone, url: str, other_url: str, dialect: str
) -> None:
    app = new_app(databases={"primary": lone(url, pool_size=3), "other": lone(other_url)})
    seen: list[AsyncSession] = []

    @app.get("/")
    async def handler(
        writing: AsyncSession = Depends(get_session),
        reading: AsyncSession = Depends(get_replica_session),
        manual: AsyncSession = Depends(get_manual),
        other: AsyncSession = Depends(get_other),
    ) -> dict:
        seen.extend([writing, reading, manual, other])
        return {}

    assert (await call(app, "GET", "/")).status == 200
    assert len({id(session) for session in seen}) == 4


async def test_64_requests_with_two_dependencies_share_five_connections(new_app, stored) -> None:
    """With a session for each dependency, requests would hold one and wait for the next."""
    app = new_app(pool_size=5, max_overflow=0, pool_timeout=20)
    arrived = 0
    everyone = asyncio.Event()

    async def counted(session: AsyncSession = Depends(get_session)) -> AsyncSession:
        await session.execute(select(User.id).limit(1))
        return session

    @app.post("/users")
    async def create(
        email: str,
        one: AsyncSession = Depends(counted),
        two: AsyncSession = Depends(get_session),
    ) -> dict:
        one.add(User(email=email))
        await two.flush()
        return {}

    async def client(number: int) -> int:
        nonlocal arrived
        arrived += 1
        if arrived == 64:
            everyone.set()
        await everyone.wait()
        return (await call(app, "POST", "/users", query=f"email={number:02}")).status

    statuses = await asyncio.gather(*(client(number) for number in range(64)))

    assert set(statuses) == {201}
    assert await stored() == [f"{number:02}" for number in range(64)]
