"""Serve the quickstart, or check that it works."""

import argparse
import asyncio
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from alembic.util import CommandError
from hawkapi_sqlalchemy import DatabaseConfig, create_engine
from sqlalchemy.exc import SQLAlchemyError

import schema
from app import create_app
from check import CheckError, check
from server import StartError, address, listen, serve
from settings import DEFAULT_URL, database_url

_CHECK_TIMEOUT = 120.0

_DESCRIPTION = """\
A small HawkAPI application that stores users in a database.

Its schema is brought up to date first. Then it is served until Ctrl-C, or,
with --check, driven by an HTTP client and stopped again."""

_EPILOG = f"""\
environment:
  DATABASE_URL  the database to use, such as
                  postgresql+asyncpg://user:password@localhost/app
                  mariadb+aiomysql://user:password@localhost/app
                default: {DEFAULT_URL}, a file in the current
                folder; --check takes one in a temporary folder

exit status:
  0  served until Ctrl-C, or all answers were right
  1  the database cannot be used, the port is taken, or an answer was wrong
  2  the command line cannot be read"""


def main() -> int:
    options = _options()
    with _database(temporary=options.check):
        try:
            _prepare_database()
            if options.check:
                asyncio.run(asyncio.wait_for(check(create_app()), _CHECK_TIMEOUT))
                print("\nAll answers are right.")
            else:
                _serve(options.port)
        except (CheckError, StartError, CommandError) as error:
            return _fail(str(error))
        except TimeoutError:
            return _fail("the check took too long")
        except (SQLAlchemyError, OSError, ValueError) as error:
            # The further lines of a database error hold the statement.
            return _fail(str(error).partition("\n")[0])
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python examples/quickstart",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--check", action="store_true", help="serve on a free port, try everything once, and end"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=8000,
        help="where to serve; 0 takes a free port (default: 8000)",
    )
    return parser.parse_args()


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {port}")
    return port


@contextmanager
def _database(*, temporary: bool) -> Generator[None]:
    """Choose the database where the environment does not."""
    if not temporary or os.environ.get("DATABASE_URL"):
        yield
        return
    with TemporaryDirectory(prefix="quickstart-") as folder:
        os.environ["DATABASE_URL"] = f"sqlite+aiosqlite:///{Path(folder) / 'quickstart.db'}"
        yield


def _prepare_database() -> None:
    config = DatabaseConfig(database_url())
    asyncio.run(_reach(config))
    schema.upgrade()
    print(f"Database {config.sqlalchemy_url.render_as_string()}: the schema is up to date.")


async def _reach(config: DatabaseConfig) -> None:
    engine = create_engine(config)
    try:
        await engine.probe()
    finally:
        await engine.dispose()


def _serve(port: int) -> None:
    with listen(port) as listener:
        url = address(listener)
        print(
            f"Serving on {url}; Ctrl-C ends it. In another terminal try:\n"
            f'  curl -i {url}/users --json \'{{"email": "ada@example.org", "name": "Ada"}}\'\n'
            f"  curl -i {url}/users\n"
            f"  curl -i {url}/readyz\n"
            f"or open {url}/docs in a browser.",
            flush=True,
        )
        with suppress(KeyboardInterrupt):
            serve(create_app(), listener)
    print("Ended.")


def _fail(message: str) -> int:
    print(f"quickstart: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
