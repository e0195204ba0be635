"""The same work for several servers, at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor


def at_once[T, R](do: Callable[[T], R], each_of: Iterable[T]) -> list[R]:
    """Call `do` for each, in threads; wait for all of them even if one fails.

    Raises:
        Exception: The first that a call has raised.
    """
    with ThreadPoolExecutor() as threads:
        return list(threads.map(do, each_of))
