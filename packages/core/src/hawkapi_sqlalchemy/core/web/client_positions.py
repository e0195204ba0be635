"""How requests and responses carry what a client has to see of its own writes."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Awaitable, Iterable, Iterator
from contextvars import Token
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, cast

from hawkapi import Request

from hawkapi_sqlalchemy.core.routing.freshness import (
    Freshness,
    Requirement,
    Requirements,
    current_freshness,
)
from hawkapi_sqlalchemy.core.routing.token import Tokens
from hawkapi_sqlalchemy.core.web.read_your_writes import ReadYourWrites

if TYPE_CHECKING:
    # They lead to the application's state, which leads here.
    from hawkapi_sqlalchemy.core.web.exchange import Message
    from hawkapi_sqlalchemy.core.web.gate import Scope, Send

__all__ = ["ClientPositions", "TokenGate"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_MOST_TOKENS = 4
"""Tokens of one request that are looked at. A cookie of another path, or one that a neighbouring
host has set, may come before ours under the same name."""


class ClientPositions:
    """Reads an application's tokens from requests, and puts them into responses.

    Args:
        settings: How.

    Attributes:
        settings: How.
        max_age: Seconds that a token is good for.
    """

    def __init__(self, settings: ReadYourWrites) -> None:
        self.settings = settings
        self._bind_to = settings.bind_to
        self.max_age = settings.max_age
        self._tokens = Tokens(settings.secrets, settings.max_age)
        self._header = (settings.header or "").lower().encode()
        self._cookie = (settings.cookie or "").encode()
        self._attributes = (
            f"; Max-Age={math.ceil(settings.max_age)}; Path=/; HttpOnly"
            f"{'; Secure' if settings.secure else ''}"
            f"; SameSite={settings.same_site.capitalize()}"
        ).encode()

    def read(self, scope: Scope) -> Requirements:
        """Answer what the client of a request has to see: all that its valid tokens tell.

        Args:
            scope: The request's ASGI scope.
        """
        texts = list(islice(chain(self._in_header(scope), self._in_cookies(scope)), _MOST_TOKENS))
        if not texts:
            return {}
        try:
            identity = self._identity(scope)
        except Exception:
            logger.exception("bind_to failed: the request's token is ignored")
            return {}
        found: dict[str, Requirement] = {}
        for text in texts:
            loaded = self._tokens.loads(text.decode("latin-1"), identity)
            if loaded is None:
                continue
            marks, issued_at = loaded
            for cluster, position in marks.items():
                told = Requirement(position, issued_at)
                before = found.get(cluster)
                found[cluster] = told if before is None else before.merged(told)
        return found

    def tell(self, start: Message, scope: Scope, freshness: Freshness) -> Message:
        """Answer the start of a response with the token in it.

        Args:
            start: The start; left as it is.
            scope: The request's ASGI scope.
            freshness: What its client has to see from now on.
        """
        try:
            identity = self._identity(scope)
        except Exception:
            # What is stored is stored: an error would tell the client otherwise.
            logger.exception("bind_to failed: the response has no token")
            return start
        token = self._tokens.dumps(freshness.to_tell(), identity).encode()
        headers: list[tuple[bytes, bytes]] = [*start.get("headers", ())]
        if self._header:
            headers.append((self._header, token))
        if self._cookie:
            headers.append((b"set-cookie", self._cookie + b"=" + token + self._attributes))
        return {**start, "headers": headers}

    def _in_header(self, scope: Scope) -> Iterator[bytes]:
        if self._header:
            yield from (value.strip() for value in _values(scope, self._header))

    def _in_cookies(self, scope: Scope) -> Iterator[bytes]:
        if self._cookie:
            for line in _values(scope, b"cookie"):
                for pair in line.split(b";"):
                    name, _, value = pair.partition(b"=")
                    if name.strip() == self._cookie:
                        yield value.strip().strip(b'"')

    def _identity(self, scope: Scope) -> str | None:
        if self._bind_to is None:
            return None
        identity = cast("object", self._bind_to(Request(scope, _refuse_body)))
        if identity is None or isinstance(identity, str):
            return identity
        raise TypeError(f"bind_to answers text or None, not {type(identity).__name__}")


class TokenGate:
    """Gives one request its Freshness, and its response the token: outside all other gates.

    The Freshness is the current one from here to `leave`. What the application around has to end
    while the start of the response passes, when this one is mounted, has its own again.

    Args:
        positions: The application's; `None` hides the Freshness of the application around.
        scope: The request's ASGI scope.
        send: What is outside.
    """

    __slots__ = ("_around", "_freshness", "_onward", "_positions", "_reset", "_scope")

    def __init__(self, positions: ClientPositions | None, scope: Scope, send: Send) -> None:
        self._positions = positions
        self._scope: Scope | None = scope
        self._onward = send
        self._around = current_freshness.get()
        self._freshness = (
            None
            if positions is None
            else Freshness(partial(positions.read, scope), positions.max_age)
        )
        self._reset: Token[Freshness | None] = current_freshness.set(self._freshness)

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, the start of the response with the token where one is due."""
        if message["type"] != "http.response.start":
            return self._onward(message)
        freshness, scope = self._freshness, self._scope
        if self._positions and freshness and scope is not None and freshness.noted:
            message = self._positions.tell(message, scope, freshness)
        return self._onward(message) if self._around is None else self._send_around(message)

    async def _send_around(self, start: Message) -> None:
        reset = current_freshness.set(self._around)
        try:
            await self._onward(start)
        finally:
            current_freshness.reset(reset)

    def leave(self) -> None:
        """End the request's part, and let go of the request, which leads here through its scope."""
        if self._freshness is not None:
            self._freshness.close()
        self._scope = self._freshness = None
        # A request that is never finished is closed by the garbage collector, in some other
        # context, which has nothing to be reset.
        with contextlib.suppress(ValueError):
            current_freshness.reset(self._reset)


def _values(scope: Scope, name: bytes) -> Iterator[bytes]:
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return (value for key, value in headers if key.lower() == name)


async def _refuse_body() -> Any:
    raise RuntimeError("bind_to cannot read the body of the request")
