"""The tables of the application."""

from hawkapi_sqlalchemy import Base, TimestampMixin
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column


class User(Base, TimestampMixin):
    """Somebody with an e-mail address that nobody else has."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(100))
