"""Tokens that tell nothing, or of what the primary never had: nobody waits for a replica."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from time import time
from typing import Any

import pytest

from dbservers.clusters import Cluster
from hawkapi_sqlalchemy.core.routing import token as tokens
from hawkapi_sqlalchemy.core.routing.positions import GtidPosition, Position, WalPosition
from hawkapi_sqlalchemy.core.routing.token import LONGEST_TOKEN, Tokens
from replica_service.client import COOKIE, HEADER, Client

SECRET = "s" * 32
USER = "x-user"
FOLLOWING: dict[str, Any] = {
    "policy": {"probe_interval": 300.0},
    # Whoever waited for a replica here would miss the deadline of `at_once`.
    "read_your_writes": {"secret": SECRET, "wait": 60.0, "bind_to": USER},
}
at_once = asyncio.timeout


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write a token by hand: a position of the primary, as it was issued some seconds ago."""

    def sign(
        position: Position | None,
        *,
        ago: float = 10.0,
        secret: str = SECRET,
        user: str | None = None,
    ) -> str:
        with monkeypatch.context() as patched:
            patched.setattr(tokens, "time", lambda: time() - ago)
            return Tokens(secret, 30).dumps({"primary": position}, user)

    return sign


async def stored_and_told(client: Client) -> Position:
    """Store an item; answer the position that the client was told."""
    await client.store("a", "1")
    assert client.token is not None
    loaded = Tokens(SECRET, 30).loads(client.token, None)
    assert loaded is not None
    position = loaded[0]["primary"]
    assert position is not None
    return position


async def test_tokens_that_are_not_good_are_as_none(
    start_here, signed, spare_cluster: Cluster
) -> None:
    here = await start_here(**FOLLOWING)
    spare_cluster.pause_replay()
    async with here.client(carry=None) as client:
        position = await stored_and_told(client)
        assert client.token is not None
        payload, _, signature = client.token.partition(".")
        strange = {
            "forged": signed(position, secret="f" * 32),
            "expired": signed(position, ago=31),
            "of the future": signed(position, ago=-60),
            "somebody else's": signed(position, user="bob"),
            "of another content": f"{payload[:-4]}AAAA.{signature}",
            "without a signature": payload,
            "huge": client.token * (LONGEST_TOKEN // 10),
            "gigantic": secrets.token_urlsafe(1 << 19),
            "empty": "",
            "no text": "\xff\xfe\x80",
            "deep": "[" * 2000,
        }
        for what, text in strange.items():
            for name, value in ((HEADER, text), ("Cookie", f"{COOKIE}={text}")):
                headers = {name: value.encode("latin-1"), USER: "ada"}
                async with at_once(10):
                    reply = await client.send("GET", "/items", key="a", headers=headers)
                assert (what, reply.status_code, reply.json()["value"]) == (what, 200, None)
                assert (what, reply.json()["port"] == spare_cluster.primary.port) == (what, False)

        # The real one is waited for.
        spare_cluster.resume_replay()
        headers = {HEADER: signed(position, user="ada"), USER: "ada"}
        async with asyncio.timeout(60):
            read = (await client.send("GET", "/items", key="a", headers=headers)).json()
        assert read["value"] == "1"
        assert read["port"] != spare_cluster.primary.port


async def test_a_token_is_good_from_its_own_user_alone(start_here, spare_cluster: Cluster) -> None:
    waiting = {"secret": SECRET, "bind_to": USER}
    here = await start_here(**(FOLLOWING | {"read_your_writes": waiting}))
    spare_cluster.pause_replay()
    async with here.client(x_user="ada") as ada, here.client(x_user="bob") as bob:
        await ada.store("a", "1")
        bob.token = ada.token
        seen = [(await each.read("a")).json()["value"] for each in (ada, bob)]
    assert seen == ["1", None]


async def test_what_the_primary_never_had_is_not_waited_for(
    start_here, signed, spare_cluster: Cluster
) -> None:
    here = await start_here(**FOLLOWING)
    async with here.client(carry=None) as client:
        position = await stored_and_told(client)
        spare_cluster.wait_for_catch_up()
        for what, strange in never_had(position).items():
            async with at_once(10):
                headers = {HEADER: signed(strange)}
                reply = await client.send("GET", "/items", key="a", headers=headers)
            expected = {"value": "1", "port": spare_cluster.primary.port}
            assert (what, reply.json()) == (what, expected)
        # A replica serves whoever does not come from elsewhere.
        read = (await client.read("a")).json()
    assert read["port"] != spare_cluster.primary.port


def never_had(position: Position) -> dict[str, Position | None]:
    """What tokens of another cluster, or of the time before a promotion, may tell."""
    if isinstance(position, WalPosition):
        return {
            "further": replace(position, lsn=position.lsn + (1 << 40)),
            "the largest": replace(position, lsn=(1 << 64) - 1),
            "an earlier timeline": replace(position, timeline=position.timeline + 1),
            "a later timeline": WalPosition(position.timeline + 7, 1),
            "another kind": GtidPosition.of([(0, 1, 1)]),
            "nothing known": None,
        }
    assert isinstance(position, GtidPosition)
    ((domain, server, number),) = position.last
    return {
        "further": GtidPosition.of([(domain, server, number + 1_000_000)]),
        "the largest": GtidPosition.of([(domain, server, (1 << 64) - 1)]),
        "another server": GtidPosition.of([(domain, server + 1, 1)]),
        "an unknown domain": GtidPosition.of([(domain + 7, server, 1)]),
        "one more domain": GtidPosition.of([(domain, server, 1), (domain + 7, server, 1)]),
        "another kind": WalPosition(1, 1),
        "nothing known": None,
    }


async def test_a_young_token_that_leads_too_far_is_waited_for_once_on_each_replica(
    start_here, signed, spare_cluster: Cluster
) -> None:
    """It may tell of what another process has just written; a log that stands still tells not."""
    waiting = {"secret": SECRET, "wait": 0.5}
    here = await start_here(**(FOLLOWING | {"read_your_writes": waiting}))
    async with here.client(carry=None) as client:
        position = await stored_and_told(client)
        further = never_had(position)["further"]
        headers = {HEADER: signed(further, ago=0)}
        async with at_once(10):
            for _ in range(40):
                reply = await client.send("GET", "/items", key="a", headers=headers)
                assert reply.json() == {"value": "1", "port": spare_cluster.primary.port}
