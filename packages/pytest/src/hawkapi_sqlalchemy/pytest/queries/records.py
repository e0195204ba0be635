"""What is known of a statement that was sent."""

from __future__ import annotations

import linecache
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any

__all__ = ["Kind", "Load", "RecordedQuery", "SourceLine", "Statement"]


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of the application, or of the test.

    Attributes:
        file: The file's path.
        line: The line's number.
        function: The function that it stands in.
    """

    file: str
    line: int
    function: str

    @property
    def code(self) -> str:
        """The line's text; empty where the file cannot be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        path = Path(self.file)
        here = Path.cwd()
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        return f"{shown}:{self.line} in {self.function}"


@dataclass(frozen=True, slots=True)
class RecordedQuery:
    """A statement that was sent to a database.

    Attributes:
        sql: Its text, as the driver got it.
        parameters: Its parameters, as the driver got them; for `executemany` a list of them.
        database: The name of the database.
        source: The line of the application, or of the test, that sent it. `None` where there is
            none, in a task of a library's for instance.
        relationship: What was lazily loaded with it: `"Author.books"`. `None` for other statements.
    """

    sql: str
    parameters: Any
    database: str
    source: SourceLine | None
    relationship: str | None


class Kind(Enum):
    """On whose behalf a statement was sent."""

    PLAIN = auto()
    """The application's own."""
    EAGER = auto()
    """A relationship's, for all parents at once."""
    LAZY = auto()
    """A relationship's, for one parent."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a session knew of a statement when it executed it.

    Args:
        session: The session's number.
        kind: On whose behalf.
        relationship: Which one is loaded, where one is: `"Author.books"`.
        parent: The object that it is lazily loaded for, by an identity of its own.
    """

    session: int
    kind: Kind = Kind.PLAIN
    relationship: str | None = None
    parent: Hashable = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement, with what only the search for N+1 needs.

    Args:
        query: The statement.
        load: What the session knew; `None` without one.
        unit: The session or connection that sent it.
        operation: The call of SQLAlchemy that sent it, and that may have sent others.
        callers: The lines that led to it, the innermost first.
        is_savepoint: It sets, releases or rolls back to a savepoint.
        hides_parameters: The engine was told to show no parameters.
    """

    query: RecordedQuery
    load: Load | None
    unit: Hashable
    operation: Hashable
    callers: tuple[SourceLine, ...]
    is_savepoint: bool
    hides_parameters: bool

    @property
    def kind(self) -> Kind:
        """On whose behalf it was sent."""
        return Kind.PLAIN if self.load is None else self.load.kind
