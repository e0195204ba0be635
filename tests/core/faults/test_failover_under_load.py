"""While requests run, the primary is replaced: no acknowledged write is lost, and service recovers.

Replication is synchronous, so that an acknowledged COMMIT is on the standby too.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from sqlalchemy import make_url

from asgi import DEADLINE, Reply, until
from dbservers.postgresql import PostgreSQLServer
from dbservers.replication import PostgreSQLPair
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until
from service import READERS, Service

WRITING = 3
ENOUGH = 10
"""Answers to wait for, of each task, before and after."""


def both(pair: PostgreSQLPair) -> str:
    """Make a URL of both servers, which leads to the one that takes writes."""
    hosts = [f"{each.host}:{each.port}" for each in (pair.standby, pair.primary)]
    query = {"host": hosts, "target_session_attrs": "read-write"}
    url = make_url(pair.primary_url).set(host=None, port=None).update_query_dict(query)
    return url.render_as_string(hide_password=False)


def set_option(server: PostgreSQLServer, name: str, value: str) -> None:
    server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.execute("SELECT pg_reload_conf()")


def replicate_synchronously(pair: PostgreSQLPair) -> None:
    set_option(pair.primary, "synchronous_standby_names", "*")
    state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
    wait_until(lambda: pair.primary.execute(state) == [(1,)], what="the standby is synchronous")


def switch_over(pair: PostgreSQLPair) -> None:
    """The old primary goes on, refuses writes, and would still answer those who read."""
    set_option(pair.primary, "default_transaction_read_only", "on")
    pair.promote()


def crash(pair: PostgreSQLPair) -> None:
    pair.primary.kill()
    pair.promote()


def promote_first(pair: PostgreSQLPair) -> None:
    """COMMITs of the old primary wait for a standby that is none any more, until it is stopped."""
    pair.promote()
    pair.primary.stop()


@dataclass
class Load:
    """Requests that run all the time, and what was answered.

    Attributes:
        sent: Every tag that was sent.
        answers: The replies to each.
        ports: The port of the server that answered each kind of reader last.
    """

    service: Service
    answers: dict[str, Reply] = field(default_factory=dict)
    reads: list[Reply] = field(default_factory=list)
    good: Counter[str] = field(default_factory=Counter)
    ports: dict[str, int] = field(default_factory=dict)
    ended: bool = False

    async def write(self, name: str) -> None:
        number = 0
        while not self.ended:
            number += 1
            tag = f"{name}-{number}"
            reply = self.answers[tag] = await self.service.insert(tag)()
            self.good[name] += reply.status == 201
            # A refusal may come back at once, and the others want to run too.
            await asyncio.sleep(0.005)

    async def read(self, kind: str) -> None:
        while not self.ended:
            reply = await self.service.read(kind)()
            self.reads.append(reply)
            if reply.status == 200:
                self.good[kind] += 1
                self.ports[kind] = reply.json()["port"]
            await asyncio.sleep(0.005)

    async def until_all_are_served(self, times: int, port: int) -> None:
        """Wait until each task was served so many times more, and by that server at last."""
        before = Counter(self.good)
        names = [*READERS, *(f"writer{n}" for n in range(WRITING))]
        try:
            await until(
                lambda: (
                    all(self.good[name] - before[name] >= times for name in names)
                    and set(self.ports.values()) == {port}
                ),
                3 * DEADLINE,
            )
        except TimeoutError:
            served = {name: self.good[name] - before[name] for name in names}
            pytest.fail(f"served {served}, by {self.ports}, and not by {port} alone")


@pytest.mark.parametrize("fail_over", [switch_over, crash, promote_first])
async def test_acknowledged_writes_are_kept_and_all_sessions_move_to_the_new_primary(
    fail_over: Callable[[PostgreSQLPair], None],
    own_postgres_pair: PostgreSQLPair,
    create_tables,
    new_service,
    tags,
) -> None:
    pair = own_postgres_pair
    await create_tables(pair.primary_url)
    await asyncio.to_thread(pair.wait_for_catch_up)
    await asyncio.to_thread(replicate_synchronously, pair)
    service: Service = new_service(both(pair), pool_size=5, max_overflow=3)
    load = Load(service)
    writers = [load.write(f"writer{n}") for n in range(WRITING)]
    async with asyncio.TaskGroup() as group:
        for work in (*writers, *(load.read(kind) for kind in READERS)):
            group.create_task(work)
        await load.until_all_are_served(ENOUGH, pair.primary.port)
        await asyncio.to_thread(fail_over, pair)
        await load.until_all_are_served(ENOUGH, pair.standby.port)
        load.ended = True

    replies = [*load.answers.values(), *load.reads]
    assert {each.status for each in replies} <= {200, 201, 503}
    refused = [each for each in replies if each.status == 503]
    assert all(each.json()["status"] == 503 for each in refused)
    stored = await tags(pair.standby_url)
    assert len(stored) == len(set(stored))
    acknowledged = {tag for tag, reply in load.answers.items() if reply.status == 201}
    assert acknowledged <= set(stored)
    # What is stored without an acknowledgement was said to be of unknown outcome.
    unknown = {tag for tag, reply in load.answers.items() if b"look whether" in reply.body}
    assert set(stored) <= acknowledged | unknown
