"""What a user's project consists of: an application `shop`, and pytest's configuration."""

APP = """
from hawkapi import Depends, HawkAPI, HTTPException
from sqlalchemy import ForeignKey, String, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from hawkapi_sqlalchemy import Base, get_replica_session, get_session, init_database


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(200), unique=True)


def create_app() -> HawkAPI:
    app = HawkAPI()
    init_database(app, url="sqlite+aiosqlite:///production.db")

    @app.post("/users")
    async def create_user(email: str, session: AsyncSession = Depends(get_session)):
        session.add(User(email=email))
        return {"email": email}

    @app.post("/refused")
    async def refuse_user(email: str, session: AsyncSession = Depends(get_session)):
        session.add(User(email=email))
        await session.flush()
        raise HTTPException(409, "not today")

    @app.get("/count")
    async def count(session: AsyncSession = Depends(get_replica_session)):
        return {"count": await session.scalar(select(func.count(User.id)))}

    return app


app = create_app()
"""

ASYNCIO = "asyncio_default_fixture_loop_scope = function\n"
INI = f"[pytest]\n{ASYNCIO}filterwarnings = error\nhawkapi_app = shop:app\npythonpath = .\n"
