"""A session that reads from a replica until it writes, beside the other sessions of its request."""

from __future__ import annotations

import pytest
from hawkapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from asgi import call
from authors import COUNT, Author
from hawkapi_sqlalchemy.core import (
    DatabaseConfig,
    get_replica_session,
    get_session,
    get_split_session,
)
from routed import application

pytestmark = pytest.mark.dialects("postgresql", "mariadb")


@pytest.mark.parametrize(
    "order", [(get_session, get_split_session), (get_split_session, get_session)]
)
async def test_it_is_the_writing_session_of_a_request_that_asks_for_both(shop, sent, stored, order):
    @shop.post("/both")
    async def both(
        one: AsyncSession = Depends(order[0]), other: AsyncSession = Depends(order[1])
    ) -> dict:
        assert await one.scalar(COUNT) == 3
        assert set(sent.take()) == {"primary"}
        one.add(Author(name="ada"))
        assert await other.scalar(COUNT) == 4
        return {"one": one is other}

    assert (await call(shop, "POST", "/both")).json() == {"one": True}
    assert set(sent.take()) == {"primary"}
    assert await stored() == ["ada"]


async def test_beside_a_replica_session_it_is_another_one(shop, stored):
    @shop.post("/both")
    async def both(
        writes: AsyncSession = Depends(get_split_session),
        reads: AsyncSession = Depends(get_replica_session),
    ) -> dict:
        await reads.scalar(COUNT)
        await writes.scalar(COUNT)
        writes.add(Author(name="ada"))
        return {"one": writes is reads}

    assert (await call(shop, "POST", "/both")).json() == {"one": False}
    assert await stored() == ["ada"]


async def test_without_replicas_it_is_the_session_of_the_primary(stocked, sent, request_to, stored):
    async with application({"primary": DatabaseConfig(stocked.primary_url)}) as app:

        async def work(session):
            assert await session.scalar(COUNT) == 3
            session.add(Author(name="ada"))

        assert (await request_to(app, work)).status == 200
        assert set(sent.take()) == {"primary"}
    assert await stored() == ["ada"]
