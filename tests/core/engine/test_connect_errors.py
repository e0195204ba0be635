"""A connection that cannot be opened: which database, where, and why."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import exc as sa_exc
from sqlalchemy import make_url, text

from dbservers.server import DatabaseServer
from hawkapi_sqlalchemy.core import CannotConnectError, Database, HawkAPISQLAlchemyError
from hawkapi_sqlalchemy.core.faults import Fault, fault_of, is_retryable

SERVERS = ["postgresql+asyncpg", "mysql+aiomysql"]


async def failure(database: Database) -> CannotConnectError:
    with pytest.raises(CannotConnectError) as caught:
        async with database.session() as session:
            await session.execute(text("SELECT 1"))
    error = caught.value
    assert isinstance(error, sa_exc.OperationalError)
    assert isinstance(error, HawkAPISQLAlchemyError)
    assert fault_of(error) is Fault.UNREACHABLE
    assert not is_retryable(error)
    assert database.checked_out == 0
    return error


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens, and that nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("driver", SERVERS)
async def test_a_server_that_is_not_there_is_named_with_host_and_port(
    driver: str, closed_port: int, make_database: Any
) -> None:
    database = make_database(f"{driver}://user:s3cret@127.0.0.1:{closed_port}/app")
    error = await failure(database)
    assert (error.name, error.where) == ("primary", f"127.0.0.1:{closed_port}")
    assert str(error).startswith(
        f"cannot connect to database 'primary' at 127.0.0.1:{closed_port}: "
    )
    assert len(error.reason) > 5
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("driver", SERVERS)
async def test_a_server_that_never_answers_is_given_up_after_the_connect_timeout(
    driver: str, silent_port: int, make_database: Any
) -> None:
    database = make_database(
        f"{driver}://user:s3cret@127.0.0.1:{silent_port}/app", connect_timeout=0.3
    )
    error = await failure(database)
    assert error.where == f"127.0.0.1:{silent_port}"
    assert error.reason


async def test_all_hosts_of_a_multi_host_url_are_named(
    closed_port: int, make_database: Any
) -> None:
    database = make_database(
        "postgresql+asyncpg://user:s3cret@/app"
        f"?host=127.0.0.1:{closed_port}&host=localhost:{closed_port}"
    )
    error = await failure(database)
    assert error.where == f"127.0.0.1:{closed_port}, localhost:{closed_port}"


@pytest.mark.dialects("postgresql", "mariadb")
async def test_a_wrong_password_is_reported_as_the_server_says(
    database_url: str, make_database: Any
) -> None:
    url = make_url(database_url).set(password="wrong-s3cret")
    error = await failure(make_database(url.render_as_string(hide_password=False)))
    assert "password" in error.reason.lower()
    assert "wrong-s3cret" not in str(error)


@pytest.mark.dialects("postgresql", "mariadb")
async def test_an_unknown_database_is_reported_by_its_name(
    database_server: DatabaseServer, make_database: Any
) -> None:
    error = await failure(make_database(database_server.url("no_such_database")))
    assert "no_such_database" in error.reason


async def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path, make_database: Any) -> None:
    file = tmp_path / "no-such-folder" / "app.db"
    error = await failure(make_database(f"sqlite+aiosqlite:///{file}"))
    assert error.where == str(file)
    assert "unable to open" in error.reason


async def test_a_database_that_comes_back_serves_without_a_restart(
    tmp_path: Path, make_database: Any
) -> None:
    file = tmp_path / "folder" / "app.db"
    database = make_database(f"sqlite+aiosqlite:///{file}")
    await failure(database)
    file.parent.mkdir()
    async with database.session() as session:
        assert await session.scalar(text("SELECT 1")) == 1


async def test_a_password_callable_that_fails_is_a_connection_that_cannot_be_opened(
    make_database: Any,
) -> None:
    """Whatever the vault's library raises: the request gets a 503, not a stranger's traceback."""

    def vault() -> str:
        raise KeyError("the secret s3cret is sealed")

    error = await failure(make_database("postgresql+asyncpg://user@host/app", password=vault))
    assert error.where == "host"
    assert "password" in error.reason
    assert "KeyError" in error.reason
    assert "s3cret" not in str(error)
    assert isinstance(error.__cause__, KeyError)
