"""The server dies between the handler's end and COMMIT."""

from __future__ import annotations

import pytest
from hawkapi import BackgroundTasks, Depends
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from asgi import call
from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import get_session
from schema import Base, User


@pytest.fixture
async def url(own_server: DatabaseServer) -> str:
    """The URL of a database with tables, on a server that may be killed."""
    engine = create_async_engine(own_server.url(), poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    return own_server.url()


@pytest.mark.dialects("postgresql", "mariadb")
async def test_the_client_is_told_and_nothing_is_stored(
    own_server: DatabaseServer, new_app, with_users, stored
) -> None:
    app = with_users(new_app())
    ran: list[str] = []

    @app.post("/kill")
    async def kill(tasks: BackgroundTasks, session: AsyncSession = Depends(get_session)) -> dict:
        session.add(User(email="lost"))
        await session.flush()
        tasks.add_task(ran.append, "task")
        own_server.kill()
        return {"original": True}

    killed = await call(app, "POST", "/kill")
    down = await call(app, "POST", "/users", query="email=down")
    assert app.state.db.checked_out == 0
    own_server.start()
    again = await call(app, "POST", "/users", query="email=ada")

    for reply in (killed, down):
        assert reply.status == reply.json()["status"] == 503
        assert reply.headers["retry-after"] == "1"
        assert b"original" not in reply.body
    assert ran == []
    assert again.status == 201
    assert await stored() == ["ada"]
