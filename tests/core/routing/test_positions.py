"""Positions in servers' logs: what covers what, what is the later of two, and what tokens hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawkapi_sqlalchemy.core.routing.positions import (
    LARGEST_DUMP,
    GtidPosition,
    GtidSet,
    Position,
    WalPosition,
    load_position,
)

UUIDS = [f"3e11fa47-71ca-11e1-9e33-c80aa942956{digit}" for digit in range(3)]
A, B, C = UUIDS

small = st.integers(1, 12)
intervals = st.lists(st.tuples(small, st.integers(0, 4)), min_size=1, max_size=4).map(
    lambda pairs: ":".join(f"{first}-{first + more}" for first, more in pairs)
)
sources = st.sampled_from([*UUIDS, f"{A}:a_tag", f"{B}:a_tag"])
wal = st.builds(WalPosition, st.integers(1, 2), st.integers(0, 5))
gtid = st.dictionaries(
    st.integers(0, 2), st.tuples(st.integers(1, 2), st.integers(0, 4)), max_size=3
).map(lambda known: GtidPosition.of((domain, *mark) for domain, mark in known.items()))
gtid_set = st.dictionaries(sources, intervals, max_size=3).map(
    lambda known: GtidSet.parse(",".join(f"{source}:{text}" for source, text in known.items()))
)
positions = wal | gtid | gtid_set
triples = st.one_of(*(st.tuples(each, each, each) for each in (wal, gtid, gtid_set)))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(UUIDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
)


def is_one_history(one: Position, other: Position) -> bool:
    """Whether no promotion lies between two positions."""
    if isinstance(one, GtidPosition) and isinstance(other, GtidPosition):
        servers = {domain: server for domain, server, _ in one.last}
        return all(servers.get(domain, server) == server for domain, server, _ in other.last)
    return isinstance(one, GtidSet) or one.shares_history(other)


@given(positions)
def test_a_position_covers_itself_and_shares_its_own_history(position: Position) -> None:
    assert position.covers(position)
    assert position.shares_history(position)


@given(triples)
def test_what_covers_a_second_covers_all_that_the_second_covers(
    triple: tuple[Position, Position, Position],
) -> None:
    first, second, third = triple
    if first.covers(second) and second.covers(third):
        assert first.covers(third)


@given(triples)
def test_two_positions_that_cover_each_other_are_equal_and_of_one_hash(
    triple: tuple[Position, Position, Position],
) -> None:
    first, second, _ = triple
    assert (first.covers(second) and second.covers(first)) == (first == second)
    if first == second:
        assert hash(first) == hash(second)


@given(triples)
def test_what_covers_a_position_shares_its_history(
    triple: tuple[Position, Position, Position],
) -> None:
    first, second, _ = triple
    if first.covers(second):
        assert first.shares_history(second)


@given(triples)
def test_the_merged_position_covers_both_of_one_history_and_no_more(
    triple: tuple[Position, Position, Position],
) -> None:
    first, second, third = triple
    merged = first.merged(second)
    assert merged == second.merged(first)
    if is_one_history(first, second):
        assert merged.covers(first)
        assert merged.covers(second)
        if third.covers(first) and third.covers(second):
            assert third.covers(merged)


@given(triples)
def test_merging_twice_or_in_another_order_changes_nothing(
    triple: tuple[Position, Position, Position],
) -> None:
    first, second, third = triple
    assert first.merged(first) == first
    assert first.merged(second.merged(third)) == first.merged(second).merged(third)


@given(wal, gtid, gtid_set)
def test_positions_of_different_kinds_never_cover_each_other(
    wal: WalPosition, gtid: GtidPosition, gtid_set: GtidSet
) -> None:
    for one, other in [(wal, gtid), (gtid, gtid_set), (gtid_set, wal)]:
        assert not one.covers(other)
        assert not other.covers(one)
        assert not one.shares_history(other)
        assert not other.shares_history(one)
        assert one.merged(other) == other


@given(positions)
def test_a_position_survives_json(position: Position) -> None:
    assert load_position(json.loads(json.dumps(position.dump()))) == position


@given(json_values)
def test_anything_else_is_refused_with_a_value_error(value: object) -> None:
    for each in (value, ["wal", value, value], ["gtid", value], ["gtid", [value]]):
        try:
            loaded = load_position(each)
        except ValueError:
            continue
        assert load_position(loaded.dump()) == loaded


@given(st.text(alphabet=f"{A}:,- \n_x9", max_size=120))
def test_malformed_texts_are_refused_with_a_value_error(text: str) -> None:
    for parse in (GtidSet.parse, GtidPosition.parse, lambda it: load_position(["gtid_set", it])):
        try:
            assert parse(text).covers(parse(text))
        except ValueError:
            continue


@pytest.mark.parametrize(
    "value",
    [
        ["wal", 1],
        ["wal", 1, -1],
        ["wal", True, 1],
        ["wal", 1, 1.0],
        ["wal", 1, 2**64],
        ["wal", 2**32, 1],
        ["wal", "1", 1],
        ["gtid", [[0, 1, 1], [0, 2, 2]]],
        ["gtid", [[2**32, 1, 1]]],
        ["gtid", [[0, 1, 2**64]]],
        ["gtid", [[domain, 1, 1] for domain in range(65)]],
        ["gtid", {"0": [1, 1]}],
        ["gtid_set", f"{A}:0"],
        ["gtid_set", f"{A}:5-1"],
        ["gtid_set", f"{A}:{2**63}"],
        ["gtid_set", f"{A}"],
        ["gtid_set", f"{A}:1 - "],
        ["gtid_set", f"{A}:{'9' * 10_000}"],
        ["gtid_set", "x" * (LARGEST_DUMP + 1)],
        ["other", 1, 1],
        {"wal": [1, 1]},
        None,
    ],
)
def test_what_no_server_would_say_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        load_position(value)


def test_a_higher_number_on_another_timeline_covers_nothing() -> None:
    assert not WalPosition(1, 900).covers(WalPosition(2, 100))
    assert not WalPosition(2, 900).covers(WalPosition(1, 100))
    assert WalPosition(1, 900).merged(WalPosition(2, 100)) == WalPosition(2, 100)


def test_a_domain_that_is_unknown_is_not_covered() -> None:
    assert not GtidPosition.parse("0-1-9").covers(GtidPosition.parse("1-1-1"))
    assert GtidPosition.parse("0-1-9,1-1-1").covers(GtidPosition.parse("1-1-1"))
    assert GtidPosition.parse("").covers(GtidPosition.parse(""))


def test_another_servers_number_covers_nothing_in_the_same_domain() -> None:
    """After a promotion both servers may have given it away."""
    assert not GtidPosition.parse("0-2-9").covers(GtidPosition.parse("0-1-5"))
    assert not GtidPosition.parse("0-2-9").shares_history(GtidPosition.parse("0-1-5"))


def test_intervals_that_touch_are_one() -> None:
    joined = GtidSet.parse(f"{A.upper()}:6-7:1-3:4-5,\n{B}:1")
    assert str(joined) == f"{A}:1-7,{B}:1"
    assert joined.covers(GtidSet.parse(f"{A}:2-6"))


def test_a_gap_is_not_covered() -> None:
    assert not GtidSet.parse(f"{A}:1-3:5-9").covers(GtidSet.parse(f"{A}:3-5"))


def test_a_tag_holds_for_the_intervals_up_to_the_next() -> None:
    tagged = GtidSet.parse(f"{A}:1-2:one:3:5:two:1")
    assert str(tagged) == f"{A}:1-2,{A}:one:3:5,{A}:two:1"
    assert not tagged.covers(GtidSet.parse(f"{A}:3"))
