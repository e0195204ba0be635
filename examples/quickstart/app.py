"""The application: its database, its routes."""

from datetime import datetime
from typing import Annotated

import msgspec
from hawkapi import Depends, HawkAPI, HTTPException
from hawkapi_sqlalchemy import get_replica_session, get_session, init_database
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models import User
from settings import database_url

# The sessions of a request: one that is committed with it, and one that only reads.
Session = Annotated[AsyncSession, Depends(get_session)]
ReadSession = Annotated[AsyncSession, Depends(get_replica_session)]


class NewUser(msgspec.Struct):
    """The body of a request that creates a user."""

    email: str
    name: str


class UserOut(msgspec.Struct):
    """A user as clients see one."""

    id: int
    email: str
    name: str
    created_at: datetime


def user_out(user: User) -> UserOut:
    return msgspec.convert(user, UserOut, from_attributes=True)


def create_app(url: str | None = None) -> HawkAPI:
    """Make the application.

    Args:
        url: Its database; by default what the environment says.
    """
    app = HawkAPI(title="Quickstart")
    init_database(app, url=url or database_url())

    @app.post("/users")
    async def create_user(new: NewUser, session: Session) -> UserOut:
        user = User(email=new.email, name=new.name)
        session.add(user)
        # The database gives the id and the time. The COMMIT follows when the handler has
        # returned, and before the client hears of it.
        await session.flush()
        return user_out(user)

    @app.get("/users/{user_id:int}")
    async def read_user(user_id: int, session: ReadSession) -> UserOut:
        user = await session.get(User, user_id)
        if user is None:
            raise HTTPException(404, detail=f"There is no user {user_id}.")
        return user_out(user)

    @app.get("/users")
    async def list_users(session: ReadSession, after: int = 0, limit: int = 50) -> list[UserOut]:
        page = select(User).where(User.id > after).order_by(User.id).limit(min(limit, 100))
        return [user_out(user) for user in await session.scalars(page)]

    return app
