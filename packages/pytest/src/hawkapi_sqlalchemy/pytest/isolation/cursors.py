"""Cursors whose statements run on the real connection, and whose rows are on this side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hawkapi_sqlalchemy.pytest.isolation.members import Member

__all__ = ["MemberCursor"]

__tracebackhide__ = True
"""An error of a statement is shown where it was sent from."""


@dataclass(frozen=True, slots=True)
class _Answer:
    description: Any = None
    rowcount: int = -1
    lastrowid: Any = None
    rows: Sequence[Any] = ()


_NO_ANSWER = _Answer()


class MemberCursor:
    """A cursor whose statements run on the real connection, and whose rows are here.

    Args:
        member: The connection.
    """

    server_side = False

    def __init__(self, member: Member) -> None:
        self._member = member
        self._answer = _NO_ANSWER
        self._position = 0
        self.arraysize = 1
        self._invalidate_schema_cache_asof = 0.0

    def execute(self, operation: str, parameters: Any = None) -> None:
        """Execute a statement."""
        self._run(operation, lambda cursor: cursor.execute(operation, parameters))

    def executemany(self, operation: str, seq_of_parameters: Sequence[Any]) -> None:
        """Execute a statement for several sets of parameters."""
        self._run(operation, lambda cursor: cursor.executemany(operation, seq_of_parameters))

    def _run(self, operation: str, execute: Callable[[Any], Any]) -> None:
        answers: list[_Answer] = []

        def on_real(adapted: Any) -> None:
            cursor = adapted.cursor()
            try:
                if hasattr(cursor, "_invalidate_schema_cache_asof"):
                    # asyncpg's adapter is told of schema changes with each statement after them.
                    cursor._invalidate_schema_cache_asof = self._invalidate_schema_cache_asof  # noqa: SLF001  # see above
                execute(cursor)
                description = cursor.description
                answers.append(
                    _Answer(
                        description,
                        cursor.rowcount,
                        getattr(cursor, "lastrowid", None),
                        list(cursor.fetchall()) if description else [],
                    )
                )
            finally:
                cursor.close()

        self._answer, self._position = _NO_ANSWER, 0
        if self._member.run(operation, on_real):
            self._answer = answers[0]

    @property
    def description(self) -> Any:
        """The columns of the answer."""
        return self._answer.description

    @property
    def rowcount(self) -> int:
        """How many rows the statement touched; -1 where that is unknown."""
        return self._answer.rowcount

    @property
    def lastrowid(self) -> Any:
        """The key that the server generated."""
        return self._answer.lastrowid

    def fetchone(self) -> Any:
        """The next row, or `None`."""
        rows = self._answer.rows
        if self._position >= len(rows):
            return None
        self._position += 1
        return rows[self._position - 1]

    def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """The next rows."""
        begin, rows = self._position, self._answer.rows
        self._position = min(len(rows), begin + (self.arraysize if size is None else size))
        return rows[begin : self._position]

    def fetchall(self) -> Sequence[Any]:
        """All rows that are left."""
        begin, rows = self._position, self._answer.rows
        self._position = len(rows)
        return rows[begin:]

    def close(self) -> None:
        """Let the rows go."""
        self._answer, self._position = replace(self._answer, rows=()), 0

    async def _async_soft_close(self) -> None:
        """Nothing: the rows are here, and the server knows of no cursor."""

    def setinputsizes(self, *inputsizes: Any) -> None:
        """Nothing; these drivers need none."""

    def nextset(self) -> None:
        """Nothing; these drivers answer one set."""
