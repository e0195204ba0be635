"""Assertions on what a Database is sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import final

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.pytest.queries.listening import Listener
from hawkapi_sqlalchemy.pytest.queries.n_plus_one import find_n_plus_one, report
from hawkapi_sqlalchemy.pytest.queries.records import RecordedQuery, Statement
from hawkapi_sqlalchemy.pytest.queries.reporting import listing

__all__ = ["QueryRecorder", "Recording"]

type Check = Callable[[Sequence[Statement]], str | None]
"""Answers what is wrong with the statements that were sent; `None` if nothing is."""


def _no_check(_: Sequence[Statement]) -> None:
    return None


@final
class Recording:
    """A block whose statements are recorded, and checked at its end.

    A plain context manager, in synchronous and asynchronous tests. Entering gives the list of the
    queries, which grows while the block runs. An exception of the block is passed on, and nothing
    is checked then.
    """

    def __init__(self, owner: QueryRecorder, check: Check, *, savepoints: bool) -> None:
        self._owner = owner
        self._check = check
        self._savepoints = savepoints
        self._queries: list[RecordedQuery] = []
        self._statements: list[Statement] = []

    def __enter__(self) -> list[RecordedQuery]:
        self._queries, self._statements = [], []
        self._owner._enter(self)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # one class in two
        return self._queries

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # pytest then shows the line of the test.
        __tracebackhide__ = True
        self._owner._leave(self)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # one class in two
        if error is None and (problem := self._check(self._statements)):
            raise AssertionError(problem)

    def record(self, statement: Statement) -> None:
        """Take a statement that is about to be sent.

        Args:
            statement: The statement.
        """
        if self._savepoints or not statement.is_savepoint:
            self._statements.append(statement)
            self._queries.append(statement.query)


class QueryRecorder:
    """Records the statements that a Database sends, and fails a test that sends too many.

    Counted is what the application sends, to all engines of the Database, those added meanwhile
    included, and from all tasks and requests. An `executemany` counts once. Not counted is what
    the library sends by itself: BEGIN, COMMIT and ROLLBACK, the settings of a transaction, health
    checks. Blocks may be nested, and each counts for itself.

    Nothing listens outside of the blocks.

    Args:
        database: The Database.

    Example:
        ```python
        queries = QueryRecorder(database)
        with queries.at_most(2):
            response = client.get("/authors")
        ```
    """

    def __init__(self, database: Database) -> None:
        self._recordings: list[Recording] = []
        self._listener = Listener(database, self._record)

    def recording(self, *, savepoints: bool = False) -> Recording:
        """Record what a block sends, and check nothing.

        Args:
            savepoints: Record what sets and ends savepoints too. Default `False`.

        Returns:
            A context manager that gives the list of the queries, in the order in which they were
            sent.
        """
        return Recording(self, _no_check, savepoints=savepoints)

    def at_most(self, count: int, *, savepoints: bool = False) -> Recording:
        """Fail if a block sends more queries than it may.

        Args:
            count: How many it may send.
            savepoints: Count what sets and ends savepoints too. Default `False`.

        Returns:
            A context manager that gives the list of the queries. At its end it raises an
            `AssertionError` that lists them, if there are too many.

        Raises:
            ValueError: `count` is negative.
        """
        _check_count(count)
        return self._counting(range(count + 1), f"at most {_queries(count)}", savepoints=savepoints)

    def exactly(self, count: int, *, savepoints: bool = False) -> Recording:
        """Fail if a block sends more or fewer queries.

        Args:
            count: How many it must send.
            savepoints: Count what sets and ends savepoints too. Default `False`.

        Returns:
            A context manager that gives the list of the queries. At its end it raises an
            `AssertionError` that lists them, if their number is another.

        Raises:
            ValueError: `count` is negative.
        """
        _check_count(count)
        return self._counting(
            range(count, count + 1), f"exactly {_queries(count)}", savepoints=savepoints
        )

    def none(self, *, savepoints: bool = False) -> Recording:
        """Fail if a block sends any query.

        Args:
            savepoints: Count what sets and ends savepoints too. Default `False`.

        Returns:
            A context manager that gives the list of the queries. At its end it raises an
            `AssertionError` that lists them, if there are any.
        """
        return self._counting(range(1), "no query", savepoints=savepoints)

    def no_n_plus_one(self, threshold: int = 2) -> Recording:
        """Fail if a block loads piece by piece what one query could load.

        That is: a session lazily loads a relationship for several parents; or it sends the same
        statement several times from the same line, reached in the same way. What `selectinload`,
        `subqueryload` and `joinedload` send is neither, nor are the statements of one flush.

        Args:
            threshold: For how many parents, or how many times, it fails. Default 2.

        Returns:
            A context manager that gives the list of the queries. At its end it raises an
            `AssertionError` that names the relationships, the lines of code, and a remedy.

        Raises:
            ValueError: `threshold` is less than 2.
        """
        if threshold < 2:
            raise ValueError(f"threshold must be at least 2, not {threshold}")

        def check(sent: Sequence[Statement]) -> str | None:
            findings = find_n_plus_one(sent, threshold)
            return report(findings) if findings else None

        return Recording(self, check, savepoints=False)

    def _counting(self, allowed: range, expected: str, *, savepoints: bool) -> Recording:
        def check(sent: Sequence[Statement]) -> str | None:
            return None if len(sent) in allowed else _mismatch(expected, sent)

        return Recording(self, check, savepoints=savepoints)

    def _enter(self, recording: Recording) -> None:
        if not self._recordings:
            self._listener.start()
        self._recordings.append(recording)

    def _leave(self, recording: Recording) -> None:
        self._recordings.remove(recording)
        if not self._recordings:
            self._listener.stop()

    def _record(self, statement: Statement) -> None:
        for recording in self._recordings:
            recording.record(statement)


def _check_count(count: int) -> None:
    if count < 0:
        raise ValueError(f"a count cannot be negative: {count}")


def _queries(count: int) -> str:
    return "1 query" if count == 1 else f"{count} queries"


def _mismatch(expected: str, sent: Sequence[Statement]) -> str:
    if not sent:
        return f"expected {expected}, none was sent"
    were = "1 was" if len(sent) == 1 else f"{len(sent)} were"
    return f"expected {expected}, {were} sent:\n{listing(sent)}"
