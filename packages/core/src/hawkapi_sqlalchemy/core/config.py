"""What describes one database: its URL, its pool, its time limits."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from hawkapi_sqlalchemy.core.errors import ConfigurationError

__all__ = ["DatabaseConfig", "Password"]

type Password = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""A password, or what answers one: asked at each new connection."""

_ASYNC_DRIVERS: Mapping[str, str] = {
    "sqlite": "aiosqlite",
    "postgresql": "asyncpg",
    "mysql": "aiomysql",
    "mariadb": "aiomysql",
}

_SECRET_WORDS = ("password", "passwd", "pwd", "secret", "token", "api_key", "credential")
_SECRET_IN_TEXT = re.compile(
    rf"""(://[^:/@\s]*:).+(?=@)|([\w.-]*(?:{"|".join(_SECRET_WORDS)})[\w.-]*=)[^&\s]+""",
    re.IGNORECASE,
)
"""What a text that is itself a URL or a connection string hides: `//user:***@`, `password=***`."""


def _empty() -> dict[str, Any]:
    return {}


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)


def _masked(value: object) -> object:
    """Hide what a value, however deep, holds under a telling key."""
    if isinstance(value, Mapping):
        items: list[tuple[Any, Any]] = list(value.items())  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # any mapping
        return {key: "***" if _is_secret(str(key)) else _masked(item) for key, item in items}
    if isinstance(value, URL):
        return safe_url(value)
    if isinstance(value, (list, tuple, set, frozenset)):
        several: list[Any] = list(value)  # pyright: ignore[reportUnknownArgumentType]  # of anything
        return [_masked(item) for item in several]
    if isinstance(value, bytes):
        return _masked(value.decode(errors="replace"))
    if isinstance(value, str):
        return _SECRET_IN_TEXT.sub(r"\1\2***", value)
    if callable(value):
        # The text of a bound method or a `partial` would show what it is bound to.
        return getattr(value, "__qualname__", type(value).__name__)
    return value


def safe_url(url: URL) -> str:
    """Render a URL without its password, in the query string neither.

    Args:
        url: The URL.

    Returns:
        The URL as text that may be logged.
    """
    hidden = {key: "***" for key in url.query if _is_secret(key)}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


@dataclass(frozen=True, repr=False)
class DatabaseConfig:
    """One database: where it is, how its pool behaves, which limits its sessions have.

    Only `url` is required. The configuration opens nothing; an `Engine` does.

    Args:
        url: SQLAlchemy URL with an async driver: `sqlite+aiosqlite`, `postgresql+asyncpg`,
            `mysql+aiomysql` or `mariadb+aiomysql`. An in-memory SQLite URL names a database that
            all sessions share and that lives until the engine is disposed.
        echo: Log every statement through the `sqlalchemy.engine` logger. Default `False`.
        pool_size: Connections that stay open. Default 5.
        max_overflow: Connections that may be opened beyond `pool_size`. Default 10.
        pool_timeout: Seconds that a session waits for a free connection before
            `PoolExhaustedError`. Default 30.
        pool_recycle: Seconds after which a connection is replaced at its next use; -1 for
            never. Default 3600.
        pool_max_idle: Seconds that a connection beyond `pool_size` stays open unused before it is
            closed. Default 60.
        pool_pre_ping: Test a connection before it is used, so that one which the server has
            closed is replaced. With `False` the connection is looked at on this side alone, and the
            server asked only if something there speaks against it. Not used for SQLite, whose
            connections cannot be lost. Default `True`.
        ping_after_idle: Seconds without use after which the test asks the server, at one round
            trip. Within them it only looks whether the driver or the socket knows of an end. 0
            asks at every use. Default 0.5.
        connect_args: Arguments of the driver's `connect()`; they win over ours.
        engine_kwargs: Arguments of SQLAlchemy's `create_async_engine`; they win over ours.
        session_kwargs: Arguments of SQLAlchemy's `async_sessionmaker`; they win over ours
            (`expire_on_commit=False`, `close_resets_only=False`).
        password: The password, instead of one in the URL. A callable, sync or async, is asked at
            each new connection, which is how rotating secrets and IAM tokens are served.
        read_only: Every session of this database is read-only, and the server refuses its writes.
            Default `False`.
        autocommit_reads: Read-only sessions are in AUTOCOMMIT, on a pool of their own: each of
            their statements costs one round trip and stands for itself. So `SET LOCAL` and
            `set_config(..., true)` end with the statement that they are in, and what `SET` or
            `LISTEN` changes stays with the connection, for the sessions that get it later. With
            `False` they have read-only transactions of the ordinary pool. Default `True`.
        weight: The share of the sessions that a replica gets, compared with that of the others of
            its set. Default 1.
        connect_timeout: Seconds for opening a connection. Default 10. Not used for SQLite.
        statement_timeout: Seconds after which the server (for SQLite, the library) cancels a
            statement. Default `None`: no limit of ours. On MySQL it covers `SELECT` alone
            (`max_execution_time`).
        lock_timeout: Seconds that a statement waits for another transaction's lock. Default
            `None`: the server's own setting; 30 for SQLite. MariaDB and MySQL take whole
            seconds, and the value is rounded up.
        idle_in_transaction_timeout: Seconds that a transaction may stay open with nothing to do
            before the server ends it. Default `None`. Not available on MySQL and SQLite.
        pgbouncer: The URL leads to PgBouncer in transaction mode: no named prepared statement
            outlives its use, and time limits are set inside each transaction. Default `False`.
        sqlite_pragmas: SQLite pragmas set on each new connection, over ours (`foreign_keys=ON`,
            `journal_mode=WAL` for files). `synchronous` keeps SQLite's `FULL`, because with
            `NORMAL` a power failure can take commits that were acknowledged
            (https://www.sqlite.org/pragma.html#pragma_synchronous).

    Raises:
        ConfigurationError: The URL cannot be parsed, or its driver is not one of the above (for a
            sync driver the message names the async one); a time limit or the weight is not
            positive; or `engine_kwargs` and `session_kwargs` ask for AUTOCOMMIT or two-phase
            commit.
    """

    url: str | URL
    echo: bool = field(default=False, kw_only=True)
    pool_size: int = field(default=5, kw_only=True)
    max_overflow: int = field(default=10, kw_only=True)
    pool_timeout: float = field(default=30.0, kw_only=True)
    pool_recycle: int = field(default=3600, kw_only=True)
    pool_max_idle: float = field(default=60.0, kw_only=True)
    pool_pre_ping: bool = field(default=True, kw_only=True)
    ping_after_idle: float = field(default=0.5, kw_only=True)
    connect_args: Mapping[str, Any] = field(default_factory=_empty, kw_only=True)
    engine_kwargs: Mapping[str, Any] = field(default_factory=_empty, kw_only=True)
    session_kwargs: Mapping[str, Any] = field(default_factory=_empty, kw_only=True)
    password: Password | None = field(default=None, kw_only=True)
    read_only: bool = field(default=False, kw_only=True)
    autocommit_reads: bool = field(default=True, kw_only=True)
    weight: float = field(default=1.0, kw_only=True)
    connect_timeout: float = field(default=10.0, kw_only=True)
    statement_timeout: float | None = field(default=None, kw_only=True)
    lock_timeout: float | None = field(default=None, kw_only=True)
    idle_in_transaction_timeout: float | None = field(default=None, kw_only=True)
    pgbouncer: bool = field(default=False, kw_only=True)
    sqlite_pragmas: Mapping[str, str | int] = field(default_factory=_empty, kw_only=True)

    def __post_init__(self) -> None:
        _check_driver(self.sqlalchemy_url)
        if self.pgbouncer and self.sqlalchemy_url.get_backend_name() != "postgresql":
            raise ConfigurationError("pgbouncer=True needs a postgresql+asyncpg URL")
        if str(self.engine_kwargs.get("isolation_level", "")).upper() == "AUTOCOMMIT":
            raise ConfigurationError(
                "engine_kwargs isolation_level='AUTOCOMMIT' would store each statement by itself, "
                "and a rollback would undo nothing"
            )
        if self.session_kwargs.get("twophase"):
            raise ConfigurationError("session_kwargs twophase=True is not supported")
        for name in (
            "pool_timeout",
            "connect_timeout",
            "statement_timeout",
            "lock_timeout",
            "idle_in_transaction_timeout",
        ):
            seconds: float | None = getattr(self, name)
            if seconds is not None and seconds <= 0:
                raise ConfigurationError(f"{name} is a positive number of seconds, not {seconds!r}")
        if not 0 < self.weight < float("inf"):
            raise ConfigurationError(f"weight is a positive number, not {self.weight!r}")
        for name in ("pool_max_idle", "ping_after_idle"):
            if getattr(self, name) < 0:
                raise ConfigurationError(
                    f"{name} is a number of seconds, 0 or more, not {getattr(self, name)!r}"
                )

    @property
    def sqlalchemy_url(self) -> URL:
        """The URL, parsed; a password given as text is part of it."""
        try:
            url = make_url(self.url)
        except (ArgumentError, ValueError):
            # The text may hold a password, so neither it nor the parser's message is repeated.
            raise ConfigurationError(
                "the database URL cannot be parsed; write it as "
                "dialect+driver://user:password@host:port/database"
            ) from None
        return url.set(password=self.password) if isinstance(self.password, str) else url

    @property
    def dialect(self) -> str:
        """The kind of server: `sqlite`, `postgresql`, `mysql` or `mariadb`."""
        return self.sqlalchemy_url.get_backend_name()

    def __repr__(self) -> str:
        shown = [f"url={safe_url(self.sqlalchemy_url)!r}"]
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "url" or value == each.default or value == {}:
                continue
            shown.append(
                f"{each.name}={'***' if each.name == 'password' else repr(_masked(value))}"
            )
        return f"{type(self).__name__}({', '.join(shown)})"


def _check_driver(url: URL) -> None:
    backend = url.get_backend_name()
    driver = _ASYNC_DRIVERS.get(backend)
    if driver is None:
        known = ", ".join(f"{each}+{name}" for each, name in _ASYNC_DRIVERS.items())
        raise ConfigurationError(f"database {backend!r} is not supported; supported: {known}")
    if url.drivername != f"{backend}+{driver}":
        raise ConfigurationError(
            f"the URL asks for {url.drivername!r}; sessions here are async: use "
            f"'{backend}+{driver}://'"
        )
