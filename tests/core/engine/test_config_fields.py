"""The fields of `DatabaseConfig`: their defaults, and what is refused."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from sqlalchemy import make_url

from hawkapi_sqlalchemy.core import ConfigurationError, DatabaseConfig, HawkAPISQLAlchemyError

URL = "sqlite+aiosqlite:///app.db"


@pytest.mark.parametrize(
    ("field", "default"),
    [
        ("echo", False),
        ("pool_size", 5),
        ("max_overflow", 10),
        ("pool_timeout", 30.0),
        ("pool_recycle", 3600),
        ("pool_pre_ping", True),
        ("connect_args", {}),
        ("engine_kwargs", {}),
        ("session_kwargs", {}),
        ("password", None),
        ("read_only", False),
        ("connect_timeout", 10.0),
        ("statement_timeout", None),
        ("lock_timeout", None),
        ("idle_in_transaction_timeout", None),
        ("pgbouncer", False),
        ("sqlite_pragmas", {}),
    ],
)
def test_a_field_has_its_documented_default(field: str, default: object) -> None:
    assert getattr(DatabaseConfig(url=URL), field) == default


def test_the_url_may_be_positional_and_all_else_is_by_name() -> None:
    assert DatabaseConfig(URL) == DatabaseConfig(url=URL)
    with pytest.raises(TypeError, match="positional"):
        DatabaseConfig(URL, True)  # type: ignore[misc]


def test_a_parsed_url_is_taken_too() -> None:
    assert DatabaseConfig(make_url(URL)).sqlalchemy_url == make_url(URL)


def test_two_configurations_share_no_mapping() -> None:
    assert DatabaseConfig(URL).connect_args is not DatabaseConfig(URL).connect_args


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        DatabaseConfig(URL).echo = True  # type: ignore[misc]


def test_a_password_given_as_text_becomes_part_of_the_url() -> None:
    config = DatabaseConfig("postgresql+asyncpg://user:old@host/app", password="p@ss")
    assert config.sqlalchemy_url.password == "p@ss"


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("sqlite+aiosqlite://", "sqlite"),
        ("postgresql+asyncpg://host/app", "postgresql"),
        ("mysql+aiomysql://host/app", "mysql"),
        ("mariadb+aiomysql://host/app", "mariadb"),
    ],
)
def test_every_async_driver_is_accepted_and_tells_its_dialect(url: str, kind: str) -> None:
    assert DatabaseConfig(url).dialect == kind


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("postgresql://host/app", "postgresql+asyncpg://"),
        ("postgresql+psycopg2://host/app", "postgresql+asyncpg://"),
        ("postgresql+psycopg://host/app", "postgresql+asyncpg://"),
        ("mysql://host/app", "mysql+aiomysql://"),
        ("mysql+pymysql://host/app", "mysql+aiomysql://"),
        ("mariadb://host/app", "mariadb+aiomysql://"),
        ("sqlite:///app.db", "sqlite+aiosqlite://"),
        ("sqlite+pysqlite:///app.db", "sqlite+aiosqlite://"),
    ],
)
def test_a_sync_driver_is_refused_and_the_async_one_named(url: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match="async") as caught:
        DatabaseConfig(url)
    assert repr(remedy) in str(caught.value)


@pytest.mark.parametrize("url", ["oracle+oracledb_async://h/x", "mssql+aioodbc://h/x", "nope://h"])
def test_an_unknown_database_is_refused_and_the_known_ones_named(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        DatabaseConfig(url)
    message = str(caught.value)
    assert repr(url.partition("+")[0].partition(":")[0]) in message
    for known in ("sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql", "mariadb+aiomysql"):
        assert known in message


@pytest.mark.parametrize(
    "url", ["", "s3cret", "user:s3cret@host/app", "postgresql+asyncpg://u:s3cret@host:port/app"]
)
def test_an_url_that_cannot_be_parsed_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be parsed") as caught:
        DatabaseConfig(url)
    assert "s3cret" not in str(caught.value)
    # Nor in what a logged traceback would show before it.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "field",
    [
        "pool_timeout",
        "connect_timeout",
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_timeout",
    ],
)
@pytest.mark.parametrize("seconds", [-1, 0])
def test_a_time_limit_that_is_not_positive_is_refused_by_name(field: str, seconds: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{field} is a positive number of seconds"):
        DatabaseConfig(URL, **{field: seconds})


@pytest.mark.parametrize("url", [URL, "mysql+aiomysql://host/app"])
def test_pgbouncer_is_refused_for_what_is_not_postgresql(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"postgresql\+asyncpg"):
        DatabaseConfig(url, pgbouncer=True)


def test_a_refused_configuration_is_both_ours_and_a_value_error() -> None:
    assert issubclass(ConfigurationError, HawkAPISQLAlchemyError)
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize("fields", [{"pool_size": 2}, {"echo": True}, {"read_only": True}])
def test_the_repr_shows_what_differs_from_the_defaults(fields: dict[str, Any]) -> None:
    [(name, value)] = fields.items()
    assert repr(DatabaseConfig(URL, **fields)) == f"DatabaseConfig(url='{URL}', {name}={value!r})"
