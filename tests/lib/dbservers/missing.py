"""What becomes of a test whose server this machine cannot run."""

from collections.abc import Callable
from typing import NoReturn

import pytest

from dbservers.plugin import is_ci
from hawkapi_sqlalchemy.pytest.servers.errors import ServerMissingError


def require[T](start: Callable[[], T]) -> T:
    """Start a server; skip the test where that cannot be had, and fail it under CI."""
    try:
        return start()
    except ServerMissingError as error:
        _do_without(str(error))


def _do_without(reason: str) -> NoReturn:
    if is_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
