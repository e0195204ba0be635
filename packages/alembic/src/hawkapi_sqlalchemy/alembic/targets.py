"""Which databases a command goes to, and in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import URL

from hawkapi_sqlalchemy.alembic.engines import parse_url
from hawkapi_sqlalchemy.alembic.errors import MigrationError
from hawkapi_sqlalchemy.alembic.invocation import Databases

__all__ = ["ONLY", "Target", "find_targets"]

ONLY = "primary"
"""The name of a database that is not one of several."""


@dataclass(frozen=True)
class Target:
    """A database to go to.

    Attributes:
        name: What it is called in results and messages.
        url: Where it is.
    """

    name: str
    url: URL


def find_targets(
    databases: Databases, *, only: Sequence[str] = (), canary: str | None = None
) -> list[Target]:
    """List the databases in the order in which they are gone to.

    Args:
        databases: A URL, or URLs by name.
        only: The names of those that are wanted; none for all.
        canary: The name of the first one.

    Raises:
        MigrationError: A URL cannot be read, a name is not among them, or there
            are none.
    """
    urls: Mapping[str, str | URL] = (
        databases if isinstance(databases, Mapping) else {ONLY: databases}
    )
    if not urls:
        raise MigrationError("the mapping of databases is empty: there is nothing to migrate")
    wanted = [*([canary] if canary is not None else ()), *only]
    if unknown := sorted({name for name in wanted if name not in urls}):
        raise MigrationError(
            f"there is no database {' and no database '.join(map(repr, unknown))}; "
            f"there {'is' if len(urls) == 1 else 'are'} {', '.join(map(repr, urls))}"
        )
    if canary is not None and only and canary not in only:
        raise MigrationError(f"the canary {canary!r} is not among the databases that were chosen")
    names = [name for name in urls if not only or name in only]
    if canary is not None:
        names = [canary, *(name for name in names if name != canary)]
    return [Target(name, _parse(name, urls[name], is_one_of=len(urls))) for name in names]


def _parse(name: str, url: str | URL, *, is_one_of: int) -> URL:
    try:
        return parse_url(url)
    except MigrationError as error:
        if is_one_of == 1:
            raise
        raise MigrationError(f"{name}: {error}") from None
