"""Storing users, and asking which there are, through sessions of a Database."""

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from hawkapi_sqlalchemy.core import Database
from schema import User

# Statements that go on until somebody ends them.
SLOW = {
    "postgresql": "SELECT pg_sleep(60)",
    "mariadb": "SELECT SLEEP(60)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e12) "
    "SELECT max(i) FROM n",
}


async def add(database: Database, *emails: str) -> None:
    async with database.session() as session:
        session.add_all([User(email=email) for email in emails])


async def execute(database: Database, sql: str) -> None:
    """Execute a statement in a session of its own."""
    async with database.session() as session:
        await session.execute(text(sql))


async def emails(session: AsyncSession) -> list[str]:
    return list(await session.scalars(select(User.email).order_by(User.email)))


async def all_emails(database: Database) -> list[str]:
    async with database.session(commit=False) as session:
        return await emails(session)
