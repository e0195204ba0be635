"""What the commands share that measure one part of the results."""

import argparse
import random
from collections.abc import Generator, Iterable
from contextlib import contextmanager

from harness.errors import BenchmarkError
from hawkapi_sqlalchemy.pytest.servers.errors import ServerError, ServerMissingError
from hawkapi_sqlalchemy.pytest.servers.run import Run


def add_options(parser: argparse.ArgumentParser, modes: Iterable[str]) -> None:
    """Add `--mode` and `--seed` to a command's options."""
    parser.add_argument("--mode", choices=sorted(modes), default="short")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(1 << 32), help="of the order"
    )


@contextmanager
def closing[R: Run](servers: R) -> Generator[R]:
    """End the servers after a block.

    Raises:
        BenchmarkError: A server is not installed, or does not start.
    """
    try:
        yield servers
    except ServerMissingError as error:
        raise BenchmarkError(error.reason, error.remedy) from error
    except ServerError as error:
        raise BenchmarkError(str(error)) from error
    finally:
        servers.close()
