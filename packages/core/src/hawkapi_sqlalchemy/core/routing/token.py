"""Signed tokens that tell how far the primaries' logs had got when a client wrote."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from time import time
from typing import TYPE_CHECKING, Any, cast

from hawkapi_sqlalchemy.core.routing.positions import Position, load_position

if TYPE_CHECKING:
    # Loaded only where tokens are used: most applications have none.
    from itsdangerous import Signer

__all__ = ["LONGEST_TOKEN", "Marks", "Tokens"]

logger = logging.getLogger("hawkapi_sqlalchemy")

LONGEST_TOKEN = 2048
"""Characters. Browsers keep cookies of up to 4096 bytes, name and attributes included."""

_SIGNATURE = 43
"""Characters of a signature: SHA-256 in base64."""

_LONGEST_PAYLOAD = (LONGEST_TOKEN - 1 - _SIGNATURE) * 3 // 4
"""Bytes before base64."""

_CLOCK_SKEW = 5.0
"""Seconds that another worker's clock may be ahead of this one's."""

_SALT = "hawkapi_sqlalchemy.position"

# The last of 43 characters carries four bits. Decoders pass over the other two, so that one
# signature would have several texts.
_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")

type Marks = Mapping[str, Position | None]
"""How far each cluster's log had got; `None` where it is only known that it was written to."""


class Tokens:
    """Writes and reads tokens.

    A token is not encrypted: it shows the names of databases and the positions in their logs. Whom
    it belongs to is part of the key that signs it, and cannot be seen in it.

    Args:
        secret: What they are signed with. Of several the last one signs, and each is accepted.
        max_age: Seconds that a token is good for.
    """

    def __init__(self, secret: str | bytes | Sequence[str | bytes], max_age: float) -> None:
        several = [secret] if isinstance(secret, (str, bytes)) else secret
        self._secrets = [each.encode() if isinstance(each, str) else each for each in several]
        self._max_age = max_age
        self._nobody = self._signer(f"{_SALT}.nobody".encode())

    def dumps(self, marks: Marks, identity: str | None) -> str:
        """Write a token, issued now.

        Where it would become longer than `LONGEST_TOKEN`, the longest positions are left out: what
        stays is that the cluster was written to. Should even those marks be too many, the first
        clusters are left out, which is logged.

        Args:
            marks: How far each cluster's log has got.
            identity: Whom the token belongs to; `None` for nobody.
        """
        payload = _fitting_payload(int(time() * 1000), marks)
        encoded = base64.urlsafe_b64encode(payload).rstrip(b"=")
        return self._signer_for(identity).sign(encoded).decode()

    def loads(self, text: str, identity: str | None) -> tuple[Marks, float] | None:
        """Read a token.

        Args:
            text: What a client has sent. Nothing that it may contain raises.
            identity: Who has sent it; `None` for nobody that is known.

        Returns:
            The marks, and when they were issued, as `time.time()` counts. `None` for what is no
            token of ours, is too old, comes from the future, or belongs to somebody else.
        """
        if len(text) > LONGEST_TOKEN:
            return None
        shape = _SHAPE.fullmatch(text)
        if shape is None or not self._is_signed(text, identity):
            return None
        return self._payload(shape[1])

    def _is_signed(self, text: str, identity: str | None) -> bool:
        if identity is not None and self._signer_for(identity).validate(text):
            return True
        return self._nobody.validate(text)

    def _payload(self, encoded: str) -> tuple[Marks, float] | None:
        padding = "=" * (-len(encoded) % 4)
        try:
            # It is signed, but perhaps by another version of this code.
            payload: Any = json.loads(base64.urlsafe_b64decode(encoded + padding))
            match payload:
                case [int(milliseconds), dict()]:
                    issued_at = milliseconds / 1000
                case _:
                    return None
            if not -_CLOCK_SKEW <= time() - issued_at <= self._max_age:
                return None
            return _load_marks(cast("Mapping[str, object]", payload[1])), issued_at
        except (ValueError, OverflowError, RecursionError):
            return None

    def _signer_for(self, identity: str | None) -> Signer:
        if identity is None:
            return self._nobody
        digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).digest()
        return self._signer(f"{_SALT}.somebody.".encode() + digest)

    def _signer(self, salt: bytes) -> Signer:
        from itsdangerous import Signer

        return Signer(self._secrets, salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)


def _load_marks(written: Mapping[str, object]) -> Marks:
    return {
        cluster: None if value is None else load_position(value)
        for cluster, value in written.items()
    }


def _fitting_payload(issued_at: int, marks: Marks) -> bytes:
    written: dict[str, Any] = {
        cluster: None if position is None else position.dump()
        for cluster, position in marks.items()
    }
    lengths = {cluster: len(_compact(value)) for cluster, value in written.items()}
    for cluster in sorted(written, key=lengths.__getitem__, reverse=True):
        payload = _compact([issued_at, written])
        if len(payload) <= _LONGEST_PAYLOAD:
            return payload
        written[cluster] = None
    while len(payload := _compact([issued_at, written])) > _LONGEST_PAYLOAD:
        first = next(iter(written))
        del written[first]
        logger.warning("too many databases for one token: a write to %r is not in it", first)
    return payload


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
