"""The settings of read-your-writes across requests."""

from __future__ import annotations

import inspect
import logging
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hawkapi import Request

from hawkapi_sqlalchemy.core.errors import ConfigurationError

__all__ = ["LONGEST_AGE", "ReadYourWrites"]

logger = logging.getLogger("hawkapi_sqlalchemy")

LONGEST_AGE = 30.0
"""Seconds that a token may be good for at most."""

_GOOD_LENGTH = 32
"""Bytes of a secret, as many as SHA-256 gives: a shorter key is weaker than the signature."""

_RECIPE = 'make one with `python -c "import secrets; print(secrets.token_urlsafe(32))"`'

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""What names a cookie (RFC 6265) and a header (RFC 9110): a token."""

_SAME_SITE = ("lax", "strict", "none")


@dataclass(frozen=True, kw_only=True)
class ReadYourWrites:
    """A client that has written sees its write on its next request, whoever answers that.

    A response whose request has committed carries a signed token: how far the primary's log was.
    The client sends it back, as a cookie by itself or as a header. Sessions that read from
    replicas then wait shortly for one that has got as far, and go to the primary otherwise.
    Applications under one host name that have databases of their own, mounted in one another or
    not, need names of their own for the cookie and the header.

    Args:
        secret: What tokens are signed with, the same for all workers of this application and for
            nobody else. It should have 32 bytes or more, as `secrets.token_urlsafe(32)` makes one:
            start-up warns of a shorter one. A sequence is for rotation: the last one signs, and
            each of them is accepted.
        max_age: Seconds that a token is good for, 30 at most. Replicas should lag less.
            Default 30.
        wait: Seconds that a reading session waits for a replica to catch up before it goes to
            the primary. Default 0.05.
        cookie: The name of the cookie; `None` for none. It is `HttpOnly`, with `Path=/`.
            Default `"hawkapi_db_position"`.
        header: The name of the header, of requests and responses; `None` for none. A page of
            another origin may read it only if the application's CORS settings expose it.
            Default `"X-Database-Position"`.
        bind_to: Answers whom a request's token belongs to, the id of its user or session; called
            when the token is read and when one is issued, with a request whose body cannot be
            read. What middleware has put into `request.scope` is there, unless a mounted
            application did. A token that was issued to somebody is ignored when it comes from
            anybody else, and one that was issued where this answered `None` is accepted from
            everybody. If it raises, that is logged, and the request has no token.
            Default `None`: tokens belong to nobody.
        secure: Browsers send the cookie over HTTPS only. Default `True`.
        same_site: The cookie's `SameSite`: `"lax"`, `"strict"` or `"none"`. Default `"lax"`.

    Raises:
        ConfigurationError: A secret is missing or empty; a number is out of its range; neither
            a cookie nor a header is left; a name is not one that HTTP allows; or browsers would
            refuse the cookie: `same_site="none"`, or a name that begins with `__Secure-` or
            `__Host-`, with `secure=False`. Or `bind_to` is a coroutine function.

    Example:
        ```python
        init_database(
            app,
            url=os.environ["DATABASE_URL"],
            read_your_writes=ReadYourWrites(
                secret=os.environ["POSITION_SECRET"],
                bind_to=lambda request: request.scope["session"].get("user"),
            ),
        )
        ```
    """

    secret: str | bytes | Sequence[str | bytes] = field(repr=False)
    max_age: float = LONGEST_AGE
    wait: float = 0.05
    cookie: str | None = "hawkapi_db_position"
    header: str | None = "X-Database-Position"
    # Its text would show what a bound method or a `partial` holds.
    bind_to: Callable[[Request], str | None] | None = field(default=None, repr=False)
    secure: bool = True
    same_site: Literal["lax", "strict", "none"] = "lax"

    def __post_init__(self) -> None:
        if not self.secrets or not all(self.secrets):
            raise ConfigurationError(f"read_your_writes needs a secret; {_RECIPE}")
        if not 0 < self.max_age <= LONGEST_AGE:
            raise ConfigurationError(
                f"max_age is a number of seconds above 0, {LONGEST_AGE:g} at most, "
                f"not {self.max_age!r}"
            )
        if not 0 <= self.wait < math.inf:
            raise ConfigurationError(f"wait is a number of seconds, 0 or more, not {self.wait!r}")
        if inspect.iscoroutinefunction(self.bind_to):
            raise ConfigurationError("bind_to is called, not awaited; make it a plain function")
        self._check_carriers()

    def _check_carriers(self) -> None:
        if self.cookie is None and self.header is None:
            raise ConfigurationError(
                "a token needs a cookie or a header that carries it; leave one of them in"
            )
        for kind, name in (("cookie", self.cookie), ("header", self.header)):
            if name is not None and not _NAME.fullmatch(name):
                raise ConfigurationError(f"{name!r} cannot be the name of a {kind}")
        if self.same_site not in _SAME_SITE:
            raise ConfigurationError(
                f"same_site is one of {', '.join(map(repr, _SAME_SITE))}, not {self.same_site!r}"
            )
        demanding = self.same_site == "none" or (self.cookie or "").startswith(
            ("__Secure-", "__Host-")
        )
        if self.cookie is not None and demanding and not self.secure:
            raise ConfigurationError(
                "browsers refuse this cookie without Secure: leave out secure=False, or take "
                "another same_site or name"
            )

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets as bytes, the oldest first."""
        given = [self.secret] if isinstance(self.secret, (str, bytes)) else self.secret
        return tuple(each.encode() if isinstance(each, str) else bytes(each) for each in given)

    def warn_of_short_secrets(self) -> None:
        """Log a warning if a secret is shorter than it should be."""
        shortest = min(map(len, self.secrets))
        if shortest < _GOOD_LENGTH:
            logger.warning(
                "the secret of read_your_writes has %d bytes, which may be guessed; %s",
                shortest,
                _RECIPE,
            )
