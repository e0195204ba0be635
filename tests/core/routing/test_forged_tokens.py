"""Tokens: nothing that a client makes up is trusted."""

from __future__ import annotations

import base64
import json
import random
import string
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from itsdangerous import Signer, URLSafeSerializer

from client_tokens import SECRET
from hawkapi_sqlalchemy.core.routing.positions import WalPosition
from hawkapi_sqlalchemy.core.routing.token import LONGEST_TOKEN, Tokens

MARKS = {"primary": WalPosition(3, 0x16B374D848), "analytics": None}


def signed(value: bytes, *, salt: bytes = b"hawkapi_sqlalchemy.position.nobody") -> str:
    """Sign a value as tokens of nobody are signed."""
    encoded = base64.urlsafe_b64encode(value).rstrip(b"=")
    signer = Signer(SECRET, salt=salt, key_derivation="hmac", digest_method="sha256")
    return signer.sign(encoded).decode()


def mutants(valid: str, source: random.Random, count: int) -> list[str]:
    """Texts that differ from a valid token by a flipped bit, a cut, a swap, an insertion, ..."""
    head, _, tail = valid.partition(".")
    found: list[str] = []
    while len(found) < count:
        where = source.randrange(len(valid))
        text = source.choice(
            [
                valid[:where]
                + chr(ord(valid[where]) ^ (1 << source.randrange(8)))
                + valid[where + 1 :],
                valid[:where],
                valid[where:],
                valid[:where] + valid[where + 1 :],
                valid[:where] + source.choice(string.printable) + valid[where:],
                valid[:where] + chr(source.randrange(0x110000)) + valid[where:],
                f"{tail}.{head}",
                f"{head}.{tail[where % 43 :] + tail[: where % 43]}",
                f"{head[where % len(head) :] + head[: where % len(head)]}.{tail}",
                valid + source.choice(["=", ".", "\0", "\n", " ", "A", valid]),
                source.choice(["=", ".", "\0", "\n", " ", "A"]) + valid,
                valid.swapcase(),
            ]
        )
        if text != valid:
            found.append(text)
    return found


def test_six_thousand_mutations_of_valid_tokens_are_all_refused(tokens: Tokens) -> None:
    source = random.Random(20)
    valid = [tokens.dumps(MARKS, identity) for identity in (None, "ada")]
    refused = 0
    for text in valid:
        assert tokens.loads(text, "ada") is not None
        for mutant in mutants(text, source, 3000):
            assert tokens.loads(mutant, "ada") is None, mutant
            refused += 1
    assert refused == 6000


def test_every_flipped_bit_is_noticed(tokens: Tokens) -> None:
    """The last ones too, which decoders of base64 pass over."""
    valid = tokens.dumps(MARKS, None)
    for where, character in enumerate(valid):
        for bit in range(8):
            flipped = valid[:where] + chr(ord(character) ^ (1 << bit)) + valid[where + 1 :]
            assert tokens.loads(flipped, None) is None, (where, bit)


ANY_TEXT = st.text(st.characters(codec=None), max_size=400)  # lone surrogates and NUL included
BASE64 = st.text(string.ascii_letters + string.digits + "-_", max_size=300)
LIKE_A_TOKEN = st.tuples(
    BASE64, st.text(string.ascii_letters + string.digits + "-_", min_size=43, max_size=43)
).map(".".join)


@settings(max_examples=2000, deadline=None)
@given(st.one_of(ANY_TEXT, LIKE_A_TOKEN), st.none() | ANY_TEXT)
def test_any_text_of_anybody_is_refused_and_raises_nothing(text: str, identity: str | None) -> None:
    assert Tokens(SECRET, 30.0).loads(text, identity) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=2000, deadline=None)
@given(st.one_of(st.binary(max_size=300), JSON.map(lambda value: json.dumps(value).encode())))
def test_a_payload_that_is_none_of_ours_raises_nothing_though_it_is_signed(payload: bytes) -> None:
    """As another version of this code, or a secret used elsewhere, may have signed it."""
    assert Tokens(SECRET, 30.0).loads(signed(payload), None) is None


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"[" * 1400, id="deep"),
        pytest.param(b'{"a":' * 280, id="deep objects"),
        pytest.param(b"[" * 700 + b"]" * 700, id="deep and closed"),
        pytest.param(b"9" * 1400, id="a huge number"),
        pytest.param(b"[" + b"9" * 1400 + b",{}]", id="a huge time"),
        pytest.param(b"[-1e999,{}]", id="a time that is no number"),
        pytest.param(b"[NaN,{}]", id="not a number"),
        pytest.param(b"[true,{}]", id="a time that is a boolean"),
        pytest.param(b"[1700000000000]", id="too short"),
        pytest.param(b"[1,{},{}]", id="too long"),
        pytest.param(b"\xff\xfe\x00", id="no text"),
        pytest.param(zlib.compress(b"[" * 10_000_000)[:1400], id="a bomb"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_a_signed_payload_of_an_evil_shape_raises_nothing(tokens: Tokens, payload: bytes) -> None:
    assert tokens.loads(signed(payload), None) is None


@pytest.mark.parametrize("position", [1, "x", [], ["wal"], ["wal", 1, -1], ["no", 1], {"a": 1}])
def test_one_malformed_position_makes_the_whole_token_none(
    tokens: Tokens, at: Callable[[float], None], position: object
) -> None:
    at(1_000.0)
    good = signed(json.dumps([1_000_000, {"other": None}]).encode())
    bad = signed(json.dumps([1_000_000, {"primary": position, "other": None}]).encode())

    assert tokens.loads(good, None) is not None
    assert tokens.loads(bad, None) is None


def test_what_another_library_or_purpose_has_signed_with_the_secret_is_refused(
    tokens: Tokens, at: Callable[[float], None]
) -> None:
    at(1_000.0)
    payload = json.dumps([1_000_000, {"primary": None}]).encode()

    assert tokens.loads(signed(payload), None) is not None
    assert tokens.loads(signed(payload, salt=b"elsewhere"), None) is None
    assert tokens.loads(URLSafeSerializer(SECRET).dumps([1_000_000, {}]), None) is None


@pytest.mark.parametrize(
    "text",
    ["", ".", "\0", "\ud800", "..", "A" * 43, "." + "A" * 43, "é" * 100, "1" * LONGEST_TOKEN],
)
def test_texts_at_the_edges_are_refused(tokens: Tokens, text: str) -> None:
    assert tokens.loads(text, None) is None


def test_a_text_beyond_the_limit_is_refused_before_anything_is_computed(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    valid = tokens.dumps(MARKS, None)

    def refuse(*args: object) -> bool:
        pytest.fail("a signature was computed")

    monkeypatch.setattr(Signer, "validate", refuse)
    for text in ("A" * 5_000_000 + "." + "A" * 43, valid.partition(".")[0] * 50 + valid):
        assert tokens.loads(text, None) is None
