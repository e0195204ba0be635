"""What a request has to see: what its client wrote, and what it has committed itself."""

from __future__ import annotations

import asyncio
import time

import pytest

from hawkapi_sqlalchemy.core.routing import freshness as freshness_module
from hawkapi_sqlalchemy.core.routing.freshness import Freshness, Requirement, current_freshness
from hawkapi_sqlalchemy.core.routing.positions import Position, WalPosition


class OtherKind(Position):
    """A position of another kind of server."""

    __slots__ = ()

    def covers(self, other: Position) -> bool:
        return False

    def shares_history(self, other: Position) -> bool:
        return isinstance(other, OtherKind)

    def merged(self, other: Position) -> Position:
        raise AssertionError("positions of two kinds were merged")

    def dump(self) -> object:
        return None


def test_nothing_is_required_where_nobody_has_written() -> None:
    assert Freshness().required("primary") is None
    assert Freshness(dict).required("primary") is None


def test_the_incoming_token_is_read_once_and_only_when_somebody_asks() -> None:
    times: list[str] = []
    told = Requirement(WalPosition(1, 5), 100.0)

    def read() -> dict[str, Requirement]:
        times.append("read")
        return {"primary": told}

    freshness = Freshness(read)
    freshness.note("other", None)
    assert times == []
    assert freshness.required("primary") == told
    assert freshness.required("nowhere") is None
    assert freshness.required("primary") == told
    assert times == ["read"]


def test_what_the_request_has_committed_is_required_of_it_from_then_on() -> None:
    before = time.time()
    freshness = Freshness()
    freshness.note("primary", WalPosition(1, 5))

    required = freshness.required("primary")
    assert required is not None
    assert required.position == WalPosition(1, 5)
    assert before <= required.issued_at <= time.time()
    assert freshness.required("other") is None


@pytest.mark.parametrize(
    ("incoming", "noted", "required"),
    [
        (WalPosition(1, 5), WalPosition(1, 9), WalPosition(1, 9)),
        (WalPosition(1, 9), WalPosition(1, 5), WalPosition(1, 9)),
        (WalPosition(1, 9), WalPosition(2, 5), WalPosition(2, 5)),
        (None, WalPosition(1, 9), None),
        (WalPosition(1, 9), None, None),
        (OtherKind(), WalPosition(1, 9), None),
        (None, None, None),
    ],
)
def test_both_are_merged_by_maximum_and_what_is_unknown_stays_unknown(
    incoming: Position | None, noted: Position | None, required: Position | None
) -> None:
    freshness = Freshness(lambda: {"primary": Requirement(incoming, 100.0)})
    freshness.note("primary", noted)

    merged = freshness.required("primary")
    assert merged is not None
    assert merged.position == required
    assert merged.issued_at > 100.0
    assert freshness.to_tell() == {"primary": required}


def test_several_commits_of_a_request_are_noted_as_the_latest() -> None:
    freshness = Freshness()
    for lsn in (5, 9, 7):
        freshness.note("primary", WalPosition(1, lsn))

    assert freshness.noted == {"primary": WalPosition(1, 9)}
    freshness.note("primary", None)
    assert freshness.noted == {"primary": None}


def test_what_was_noted_cannot_be_changed_from_outside() -> None:
    freshness = Freshness()
    with pytest.raises(TypeError):
        freshness.noted["primary"] = None  # pyright: ignore[reportIndexIssue]
    assert freshness.required("primary") is None


def test_the_client_is_told_of_clusters_it_knew_first_and_of_this_requests_last() -> None:
    """The first are left out first, should a token become too long."""
    told = {name: Requirement(WalPosition(1, 5), 100.0) for name in ("one", "two", "three")}
    freshness = Freshness(lambda: told)
    freshness.note("four", WalPosition(1, 1))
    freshness.note("two", WalPosition(1, 6))

    assert list(freshness.to_tell().items()) == [
        ("one", WalPosition(1, 5)),
        ("three", WalPosition(1, 5)),
        ("four", WalPosition(1, 1)),
        ("two", WalPosition(1, 6)),
    ]


def test_each_write_has_to_be_seen_for_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(freshness_module, "time", lambda: now)
    told = Requirement(WalPosition(1, 5), 95.0)
    freshness = Freshness(lambda: {"primary": told}, max_age=10.0)
    freshness.note("primary", WalPosition(1, 9))

    assert freshness.required("primary") == Requirement(WalPosition(1, 9), 100.0)
    now = 105.5
    assert freshness.required("primary") == Requirement(WalPosition(1, 9), 100.0)
    now = 110.5
    assert freshness.required("primary") is None


def test_a_closed_one_reads_no_token_of_a_request_that_has_ended() -> None:
    freshness = Freshness(lambda: pytest.fail("the token was read"))
    freshness.note("primary", WalPosition(1, 9))
    freshness.close()

    required = freshness.required("primary")
    assert required is not None
    assert required.position == WalPosition(1, 9)


async def test_there_is_none_outside_of_requests() -> None:
    assert current_freshness.get() is None
    assert await asyncio.create_task(asyncio.sleep(0, current_freshness.get())) is None
