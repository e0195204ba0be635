"""What looks like reading and is not: the replica refuses it, and the primary does it."""

from __future__ import annotations

import pytest
from sqlalchemy import column, func, select, table

from authors import Author
from hawkapi_sqlalchemy.core import ReadOnlyError, get_replica_session, get_split_session

pytestmark = pytest.mark.dialects("postgresql", "mariadb")

TICKET = select(table("tickets", column("number")).c.number)
COUNT = select(func.count()).select_from(Author)

SETUP = {
    "postgresql": [
        "CREATE SEQUENCE numbers",
        "CREATE VIEW tickets AS SELECT nextval('numbers') AS number",
        "GRANT ALL ON numbers, tickets TO PUBLIC",
    ],
    "mariadb": [
        "CREATE SEQUENCE numbers",
        "CREATE VIEW tickets AS SELECT nextval(numbers) AS number",
    ],
}


async def execute(session):
    return (await session.execute(TICKET)).scalar_one()


async def scalar(session):
    return await session.scalar(TICKET)


async def scalars(session):
    return (await session.scalars(TICKET)).one()


@pytest.fixture(autouse=True)
def tickets(stocked, dialect) -> None:
    """A view that counts a sequence up, which its name does not tell."""
    for statement in SETUP[dialect]:
        stocked.primary.execute(statement, database=stocked.database)
    stocked.wait_for_catch_up()


@pytest.mark.parametrize("take", [execute, scalar, scalars])
@pytest.mark.parametrize("reads_before", [0, 2])
async def test_it_is_done_on_the_primary_where_the_session_stays(
    shop, sent, request_to, take, reads_before
):
    async def work(session):
        for _ in range(reads_before):
            await session.scalar(COUNT)
        assert set(sent.take()) == ({"replica"} if reads_before else set())
        for number in (1, 2):
            assert await take(session) == number
        assert await session.scalar(COUNT) == 3
        session.add(Author(name="ada"))

    assert (await request_to(shop, work)).status == 200
    # Refused once.
    assert sent.take() == ["replica"] + ["primary"] * 4


async def test_what_the_session_has_loaded_and_added_stays(shop, sent, request_to):
    async def work(session):
        author = await session.get(Author, 1)
        new = Author(name="ada")
        session.add(new)
        with session.no_autoflush:
            assert await session.scalar(TICKET) == 1
        assert (author in session, author.name, new in session) == (True, "author 1", True)

    assert (await request_to(shop, work)).status == 200
    assert [name for name, _ in sent.all][-1] == "primary"


async def test_a_session_that_only_reads_is_told_so(shop, sent, request_to):
    async def work(session):
        with pytest.raises(ReadOnlyError):
            await session.scalar(TICKET)

    assert (await request_to(shop, work, get_replica_session)).status == 200
    assert sent.take() == ["replica"]


async def test_nothing_else_that_fails_there_is_tried_again(shop, sent, request_to):
    async def work(session):
        with pytest.raises(Exception, match="no_such"):
            await session.scalar(select(column("no_such")))

    assert (await request_to(shop, work, get_split_session)).status == 200
    assert sent.take() == ["replica"]
