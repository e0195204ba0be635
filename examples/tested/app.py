import os

from hawkapi import Depends, HawkAPI
from hawkapi_sqlalchemy import Base, get_session, init_database
from sqlalchemy import String
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)


app = HawkAPI()
init_database(app, url=os.environ.get("DATABASE_URL", "sqlite+aiosqlite:///users.db"))


@app.post("/users")
async def create_user(email: str, session: AsyncSession = Depends(get_session)):
    session.add(User(email=email))
    return {"email": email}
