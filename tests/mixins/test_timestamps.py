"""`TimestampMixin` on every database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import String, insert, select, text, update
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column

from hawkapi_sqlalchemy.mixins import Base, DataclassBase, TimestampMixin

SLACK = timedelta(seconds=30)


class Note(Base, TimestampMixin):
    __tablename__ = "stamped_notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(String(200), default="")


class DataNote(DataclassBase, TimestampMixin):
    __tablename__ = "stamped_data_notes"
    id: Mapped[int] = mapped_column(primary_key=True, init=False)
    body: Mapped[str] = mapped_column(String(200), default="")


@pytest.fixture(params=[Note, DataNote])
def model(request: pytest.FixtureRequest) -> type[Any]:
    return request.param


@pytest.fixture
async def engine(database_url: str, model: type[Any]) -> AsyncIterator[AsyncEngine]:
    """A database whose sessions are not in UTC, to tell UTC from local time."""
    connect_args: dict[str, Any] = {}
    if database_url.startswith("postgresql"):
        connect_args = {"server_settings": {"timezone": "Asia/Tokyo"}}
    elif not database_url.startswith("sqlite"):
        connect_args = {"init_command": "SET time_zone = '+09:00'"}
    engine = create_async_engine(database_url, connect_args=connect_args)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(model.__table__.create)
        yield engine
    finally:
        await engine.dispose()


def is_now(value: datetime) -> bool:
    return value.utcoffset() == timedelta(0) and abs(datetime.now(UTC) - value) < SLACK


async def test_both_are_readable_in_utc_after_a_flush_without_a_query(engine, model):
    async with AsyncSession(engine) as session:
        note = model()
        session.add(note)
        await session.flush()
        assert is_now(note.created_at)
        assert note.updated_at == note.created_at


async def test_both_are_readable_after_a_flush_where_inserts_return_nothing(engine, model):
    """MySQL has no RETURNING; the other databases are made to do without."""
    async with engine.connect():
        engine.dialect.insert_returning = False
    async with AsyncSession(engine) as session:
        note = model()
        session.add(note)
        await session.flush()
        assert is_now(note.created_at)


async def test_an_update_moves_updated_at_alone(engine, model):
    async with AsyncSession(engine, expire_on_commit=False) as session:
        note = model()
        session.add(note)
        await session.commit()
        created, updated = note.created_at, note.updated_at
        await asyncio.sleep(0.01)
        note.body = "new"
        await session.commit()
        moved = note.updated_at
        await session.refresh(note)
        assert (note.created_at, note.updated_at) == (created, moved)
        assert moved > updated
        assert is_now(moved)


async def test_an_update_statement_moves_updated_at(engine, model):
    async with AsyncSession(engine) as session:
        note = model()
        session.add(note)
        await session.flush()
        before = note.updated_at
        await asyncio.sleep(0.01)
        await session.execute(update(model).values(body="new"))
        assert (await session.scalars(select(model.updated_at))).one() > before


async def test_the_database_stamps_rows_that_others_insert(engine, model):
    async with engine.begin() as connection:
        await connection.execute(
            text(f"INSERT INTO {model.__tablename__} (id, body) VALUES (1, '')")
        )
        row = (await connection.execute(select(model.created_at, model.updated_at))).one()
    assert is_now(row.created_at)
    assert is_now(row.updated_at)


async def test_microseconds_are_kept_and_other_time_zones_become_utc(engine, model):
    at = datetime(2031, 7, 1, 23, 30, 15, 123456, tzinfo=timezone(timedelta(hours=-5)))
    async with engine.begin() as connection:
        await connection.execute(insert(model).values(created_at=at, body=""))
        stored = (await connection.scalars(select(model.created_at))).one()
    assert stored == at
    assert stored.isoformat() == "2031-07-02T04:30:15.123456+00:00"


@pytest.mark.dialects("mariadb", "postgresql")
async def test_a_server_stamps_with_microseconds(engine, model):
    async with engine.connect() as connection:
        for _ in range(5):
            await connection.execute(insert(model).values(body=""))
            # PostgreSQL's clock stands still during a transaction.
            await connection.commit()
        stamps = (await connection.scalars(select(model.created_at))).all()
    assert any(stamp.microsecond % 1000 for stamp in stamps)


async def test_rows_are_found_by_the_moment_they_were_stamped(engine, model):
    """Stamps of the database and of Python compare alike: SQLite compares text."""
    async with AsyncSession(engine) as session:
        note = model()
        session.add(note)
        await session.flush()
        at = note.created_at.astimezone(timezone(timedelta(hours=3)))
        assert (await session.scalars(select(model.id).where(model.created_at == at))).one()
        later = at + timedelta(microseconds=1)
        assert not (await session.scalars(select(model.id).where(model.created_at >= later))).all()
        earlier = at - timedelta(microseconds=1)
        assert (await session.scalars(select(model.id).where(model.created_at > earlier))).one()


async def test_a_naive_datetime_is_refused_with_the_remedy(engine, model):
    async with engine.connect() as connection:
        statement = insert(model).values(created_at=datetime(2031, 7, 1), body="")  # noqa: DTZ001
        with pytest.raises(
            StatementError, match=r"2031-07-01 00:00:00 has no time zone.*now\(UTC\)"
        ):
            await connection.execute(statement)


@pytest.mark.dialects("postgresql")
async def test_a_span_of_time_can_be_added_in_sql(engine, model):
    async with AsyncSession(engine) as session:
        note = model()
        session.add(note)
        await session.flush()
        tomorrow = (await session.scalars(select(model.created_at + timedelta(days=1)))).one()
        assert tomorrow == note.created_at + timedelta(days=1)
