"""What a statement does, as far as its text tells."""

import re

__all__ = ["is_ddl", "naming", "only_reads", "runs_concurrently"]

_COMMENTS = r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"


def _beginning(words: str) -> re.Pattern[str]:
    return re.compile(rf"{_COMMENTS}(?:{words})\b", re.IGNORECASE | re.DOTALL)


_READS = _beginning("SELECT|SHOW|PRAGMA|EXPLAIN|SET|ROLLBACK")
_DDL = _beginning("CREATE|ALTER|DROP|RENAME|TRUNCATE")
_CONCURRENTLY = _beginning("(?:CREATE|DROP|ALTER|REINDEX)\\b.*\\bCONCURRENTLY")


def only_reads(statement: str) -> bool:
    """Tell whether it leaves the data alone."""
    return _READS.match(statement) is not None


def is_ddl(statement: str) -> bool:
    """Tell whether it changes the schema."""
    return _DDL.match(statement) is not None


def runs_concurrently(statement: str) -> bool:
    """Tell whether PostgreSQL runs it in several transactions, beside writers of the table.

    It waits for each older transaction, and what fails leaves an index that is invalid
    (https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY).
    """
    return _CONCURRENTLY.match(statement) is not None


def naming(table: str) -> re.Pattern[str]:
    """Make what finds the name of a table in a statement, and no longer name that holds it."""
    return re.compile(rf"(?<![\w$]){re.escape(table)}(?![\w$])")
