"""Tokens: what is written comes back, for whom it was written and in time."""

from __future__ import annotations

import logging
import string
from collections.abc import Callable

import pytest

from client_tokens import SECRET
from hawkapi_sqlalchemy.core.routing.positions import WalPosition
from hawkapi_sqlalchemy.core.routing.token import LONGEST_TOKEN, Tokens

OTHER = "o" * 32
MARKS = {"primary": WalPosition(3, 0x16B374D848), "analytics": None}


def marks_of(loaded: tuple | None) -> dict | None:
    return None if loaded is None else dict(loaded[0])


def test_what_is_written_comes_back_with_the_time_of_issue(
    tokens: Tokens, at: Callable[[float], None]
) -> None:
    at(1_000_000.25)
    text = tokens.dumps(MARKS, None)
    at(1_000_001.0)

    assert tokens.loads(text, None) == (MARKS, 1_000_000.25)


def test_a_token_fits_into_a_cookie_as_it_is(tokens: Tokens) -> None:
    text = tokens.dumps(MARKS, "ada")

    assert set(text) <= set(string.ascii_letters + string.digits + "-_.")
    assert len(text) < 200


@pytest.mark.parametrize(
    ("issued_to", "sent_by", "accepted"),
    [
        (None, None, True),
        (None, "ada", True),
        ("ada", "ada", True),
        ("ada", "bob", False),
        ("ada", None, False),
        ("ada", "", False),
        ("", "", True),
        ("", None, False),
        ("ada", "ada\0", False),
        ("\ud800", "\ud800", True),
        ("\ud800", "\ud801", False),
        ("a" * 1_000_000, "a" * 1_000_000, True),
    ],
)
def test_a_token_is_good_for_whom_it_was_issued_to_and_one_of_nobody_for_everybody(
    tokens: Tokens, issued_to: str | None, sent_by: str | None, accepted: bool
) -> None:
    text = tokens.dumps(MARKS, issued_to)

    assert (tokens.loads(text, sent_by) is not None) is accepted


def test_whom_a_token_belongs_to_cannot_be_seen_in_it(
    tokens: Tokens, at: Callable[[float], None]
) -> None:
    """All but the signature is the same for everybody."""
    at(1_000_000.0)
    bodies = {tokens.dumps(MARKS, identity).partition(".")[0] for identity in (None, "ada", "bob")}

    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("age", "accepted"),
    [(0, True), (29.9, True), (30.1, False), (1e9, False), (-4.9, True), (-5.1, False)],
)
def test_a_token_is_good_for_its_time_with_some_seconds_for_clocks_that_differ(
    tokens: Tokens, at: Callable[[float], None], age: float, accepted: bool
) -> None:
    at(2_000_000_000.0)
    text = tokens.dumps(MARKS, None)
    at(2_000_000_000.0 + age)

    assert (tokens.loads(text, None) is not None) is accepted


def test_a_fraction_of_a_second_counts(at: Callable[[float], None]) -> None:
    tokens = Tokens(SECRET, 0.5)
    at(1_000_000.9)
    text = tokens.dumps(MARKS, None)
    at(1_000_001.3)
    assert tokens.loads(text, None) is not None
    at(1_000_001.5)
    assert tokens.loads(text, None) is None


def test_secrets_rotate_without_a_token_lost() -> None:
    old, both, new = Tokens(SECRET, 30), Tokens([SECRET, OTHER], 30), Tokens(OTHER.encode(), 30)

    assert both.loads(old.dumps(MARKS, None), None) is not None
    assert new.loads(both.dumps(MARKS, None), None) is not None
    assert old.loads(both.dumps(MARKS, None), None) is None
    assert new.loads(old.dumps(MARKS, None), None) is None


def test_positions_that_make_a_token_too_long_are_left_out_the_longest_first(
    tokens: Tokens,
) -> None:
    class Long(WalPosition):
        __slots__ = ()

        def dump(self) -> object:
            return ["long", "x" * 10_000]

    text = tokens.dumps({"one": WalPosition(1, 5), "two": Long(1, 6), "three": None}, "ada")

    assert len(text) <= LONGEST_TOKEN
    assert marks_of(tokens.loads(text, "ada")) == {
        "one": WalPosition(1, 5),
        "two": None,
        "three": None,
    }


def test_marks_of_more_databases_than_a_token_holds_lose_the_first_with_a_warning(
    tokens: Tokens, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"shard:{number:04}" for number in range(200)]
    with caplog.at_level(logging.WARNING, "hawkapi_sqlalchemy"):
        text = tokens.dumps({name: WalPosition(1, 5) for name in names}, None)

    kept = marks_of(tokens.loads(text, None))
    assert kept is not None
    assert list(kept) == names[-len(kept) :]
    assert 50 < len(kept) < 200
    told = [each for each in caplog.messages if each.startswith("too many databases")]
    assert told == caplog.messages
    assert len(told) == 200 - len(kept)


def test_a_token_is_never_longer_than_the_limit_and_may_be_as_long(tokens: Tokens) -> None:
    lengths = {
        len(tokens.dumps({"x" * size: WalPosition(1, 5)}, None)) for size in range(1300, 1500)
    }

    assert LONGEST_TOKEN - 3 <= max(lengths) <= LONGEST_TOKEN
