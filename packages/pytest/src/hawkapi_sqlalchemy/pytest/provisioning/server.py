"""A database server, as its administrator for the run sees it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from hawkapi_sqlalchemy.core import CannotConnectError, DatabaseConfig, create_engine
from hawkapi_sqlalchemy.pytest.portal import Portal
from hawkapi_sqlalchemy.pytest.provisioning.errors import ProvisioningError

__all__ = ["Server"]


class Server:
    """Runs statements on a server, each for itself.

    Args:
        url: Any database on it.
        portal: Runs what is asynchronous.
    """

    def __init__(self, url: URL, portal: Portal) -> None:
        self.url = url
        self._portal = portal

    def execute(self, *statements: str) -> list[Any]:
        """Run statements, and answer the last one's rows.

        Raises:
            ProvisioningError: The server cannot be reached, or refuses one.
        """
        with self.connection() as execute:
            rows: list[Any] = []
            for statement in statements:
                rows = execute(statement)
            return rows

    @contextmanager
    def connection(self) -> Generator[Callable[..., list[Any]]]:
        """Keep one connection, for what belongs to it: a lock, for instance.

        Yields:
            A function that runs a statement, with parameters by name, and answers its rows.

        Raises:
            ProvisioningError: The server cannot be reached, or refuses a statement.
        """
        config = DatabaseConfig(self.url, engine_kwargs={"poolclass": NullPool})
        engine = create_engine(config, name="tests").engine
        connection = engine.execution_options(isolation_level="AUTOCOMMIT").connect()

        async def execute(statement: str, parameters: dict[str, Any]) -> list[Any]:
            result = await connection.execute(text(statement), parameters)
            return list(result.all()) if result.returns_rows else []

        async def close() -> None:
            await connection.close()
            await engine.dispose()

        with _explained():
            self._portal.run(_entered(connection))
        try:

            def run(statement: str, **parameters: Any) -> list[Any]:
                with _explained():
                    return self._portal.run(execute(statement, parameters))

            yield run
        finally:
            self._portal.run(close())


async def _entered(connection: AsyncConnection) -> None:
    await connection.start()


@contextmanager
def _explained() -> Generator[None]:
    try:
        yield
    except CannotConnectError as error:
        raise ProvisioningError(
            str(error),
            "start the server or correct the URL; --hawkapi-database=postgresql (or mariadb) "
            "starts a private one",
        ) from error
    except DBAPIError as error:
        raise ProvisioningError(
            f"the server refused to prepare a test database: {error.orig}\n    {error.statement}",
            "the URL's user needs the right to create databases",
        ) from error
