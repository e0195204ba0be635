"""What a statement does to the transaction that it runs in, told from its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Kind", "Statement", "understand"]


class Kind(Enum):
    """What matters of a statement inside a shared transaction."""

    READ = auto()
    """Stores nothing."""
    WRITE = auto()
    """May store something."""
    SETTING = auto()
    """Changes the connection. On PostgreSQL it ends with its transaction, elsewhere it stays."""
    SCHEMA = auto()
    """Changes the schema. MariaDB and MySQL commit at such a statement."""
    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    SAVEPOINT = auto()
    """Sets a savepoint."""
    ROLLBACK_TO = auto()
    """Goes back to a savepoint."""
    RELEASE = auto()
    """Gives a savepoint up."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that was understood.

    Args:
        kind: What it does.
        savepoint: The savepoint's name, where it is about one.
    """

    kind: Kind
    savepoint: str | None = None


_NAME = r"[\"`]?(?P<name>\w+)[\"`]?"
_SPACE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_CONTROL = (
    (Kind.SAVEPOINT, re.compile(rf"SAVEPOINT\s+{_NAME}\s*;?\s*$", re.IGNORECASE)),
    (
        Kind.ROLLBACK_TO,
        re.compile(
            rf"ROLLBACK(?:\s+(?:WORK|TRANSACTION))?\s+TO(?:\s+SAVEPOINT)?\s+{_NAME}\s*;?\s*$",
            re.IGNORECASE,
        ),
    ),
    (Kind.RELEASE, re.compile(rf"RELEASE(?:\s+SAVEPOINT)?\s+{_NAME}\s*;?\s*$", re.IGNORECASE)),
    (
        Kind.COMMIT,
        re.compile(r"(?:COMMIT|END)(?:\s+(?:WORK|TRANSACTION))?\s*;?\s*$", re.IGNORECASE),
    ),
    (
        Kind.ROLLBACK,
        re.compile(r"(?:ROLLBACK|ABORT)(?:\s+(?:WORK|TRANSACTION))?\s*;?\s*$", re.IGNORECASE),
    ),
    (Kind.BEGIN, re.compile(r"(?:BEGIN|START\s+TRANSACTION)\b[\w\s,]*;?\s*$", re.IGNORECASE)),
)
_LEADING = re.compile(_SPACE + r"\(*" + _SPACE, re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_READS = {
    "SELECT",
    "SHOW",
    "DESCRIBE",
    "DESC",
    "VALUES",
    "TABLE",
    "FETCH",
    "RESET",
    "USE",
    "DECLARE",
    "CLOSE",
    "DISCARD",
    "LISTEN",
    "UNLISTEN",
    "ANALYZE",
    "LOCK",
    "PRAGMA",
}
_SCHEMA = {"CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "COMMENT", "GRANT", "REVOKE"}
_WRITING_WORDS = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE|REPLACE)\b", re.IGNORECASE)
_CONTROL_WORDS = {
    "SAVEPOINT",
    "ROLLBACK",
    "RELEASE",
    "COMMIT",
    "END",
    "ABORT",
    "BEGIN",
    "START",
}


def understand(text: str) -> Statement:
    """Tell what a statement does.

    Args:
        text: The statement, as the driver gets it.

    Returns:
        What is known of it. What is not known counts as a write.
    """
    start = _LEADING.match(text)
    body = text[start.end() :] if start else text
    found = _WORD.match(body)
    word = found.group().upper() if found else ""
    if word in _CONTROL_WORDS:
        for kind, pattern in _CONTROL:
            if control := pattern.match(body):
                return Statement(kind, control.groupdict().get("name"))
    if word == "SET" or (word == "PRAGMA" and "=" in body):
        return Statement(Kind.SETTING)
    if word in _READS:
        return Statement(Kind.READ)
    if word in _SCHEMA:
        return Statement(Kind.SCHEMA)
    if word in ("WITH", "EXPLAIN"):
        # A CTE may write (PostgreSQL), and so may what follows it, or what is explained.
        return Statement(Kind.WRITE if _WRITING_WORDS.search(body) else Kind.READ)
    return Statement(Kind.WRITE)
