"""The SQL of a run, taken apart into the statements of each revision."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hawkapi_sqlalchemy.alembic.errors import MigrationError
from hawkapi_sqlalchemy.alembic.statements import naming

__all__ = ["Statement", "split_by_revision"]

_RUNNING = re.compile(r"^-- Running upgrade .*-> (\S+)", re.MULTILINE)
"""What Alembic writes in front of each migration."""
_IGNORE = re.compile(r"lint:\s*ignore\s+([\w-]+(?:\s*,\s*[\w-]+)*)", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One statement.

    Attributes:
        text: Without comments, in one line.
        ignored: The rules that a comment in it leaves out.
    """

    text: str
    ignored: frozenset[str]


def split_by_revision(sql: str, version_table: str) -> Iterator[tuple[str, list[Statement]]]:
    """Tell the statements of each revision.

    Args:
        sql: What Alembic writes with `--sql`.
        version_table: The name of its own table, whose statements are left out.

    Yields:
        A revision and its statements, in the order in which they run.

    Raises:
        MigrationError: `sqlparse` is not installed.
    """
    parts = _RUNNING.split(sql)
    own = naming(version_table)
    for revision, text in zip(parts[1::2], parts[2::2], strict=True):
        yield revision, [each for each in _statements(text) if not own.search(each.text)]


def _statements(text: str) -> Iterator[Statement]:
    try:
        import sqlparse
    except ModuleNotFoundError as error:
        raise MigrationError(
            "telling statements apart needs sqlparse: install hawkapi-sqlalchemy-alembic[lint]"
        ) from error
    for raw in sqlparse.split(text):
        plain = sqlparse.format(raw, strip_comments=True)
        line = " ".join(plain.split()).rstrip(";").strip()
        if line:
            ignored = ",".join(_IGNORE.findall(raw)).split(",")
            yield Statement(line, frozenset(each.strip() for each in ignored))
