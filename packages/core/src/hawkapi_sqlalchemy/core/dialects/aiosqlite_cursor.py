"""A cursor that costs one visit to the connection's thread for each statement."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import Any, Protocol, Self

__all__ = ["Cursor", "Host"]

_NONE: Iterable[Any] = ()


class Host(Protocol):
    """What the cursor asks of its connection."""

    def call[**P, T](
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Run a function in the connection's thread."""
        ...

    def opened(self) -> sqlite3.Connection:
        """Answer sqlite3's connection; used in its thread alone."""
        ...

    def streams(self) -> bool:
        """Tell whether this statement's rows are wanted as they are fetched."""
        ...

    def keep(self, cursor: sqlite3.Cursor) -> None:
        """Remember a cursor that is left open in the thread."""
        ...


class Cursor:
    """aiosqlite's cursor, which opens, executes, fetches and closes in one visit.

    What it has fetched it holds, and answers without another visit. A stream's cursor stays open in
    the thread instead, and visits it for each portion of its rows; when they have all been read it
    is closed in that same visit.

    It can be awaited and entered, as what aiosqlite's `cursor()` answers can.

    Args:
        connection: The connection.
        iter_chunk_size: Rows that an iteration fetches at once.

    Attributes:
        arraysize: Rows of a `fetchmany()` without a size. Default 1.
        iter_chunk_size: Rows that an iteration fetches at once.
        description: sqlite3's, of the last statement; `None` where it has no result.
        lastrowid: sqlite3's.
        rowcount: sqlite3's, -1 for a query; after all rows of a `RETURNING` it is their number.
        row_factory: sqlite3's, for the statements that follow. Default `None`: the connection's.
    """

    def __init__(self, connection: Host, iter_chunk_size: int) -> None:
        self.iter_chunk_size = iter_chunk_size
        self._host = connection
        self._rows: Iterator[Any] = iter(_NONE)
        self._stream: sqlite3.Cursor | None = None
        self.arraysize = 1
        self.description: Any = None
        self.lastrowid: int | None = None
        self.rowcount = -1
        self.row_factory: Any = None

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while rows := await self.fetchmany(self.iter_chunk_size):
            for row in rows:
                yield row

    async def execute(self, sql: str, parameters: Any = ()) -> Self:
        """Execute a statement, and fetch its rows unless they are streamed.

        Args:
            sql: The statement.
            parameters: Its parameters, by position or by name.

        Raises:
            sqlite3.Error: SQLite refused it.
        """
        await self._host.call(self._run_one, sql, parameters, self._host.streams())
        return self

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> Self:
        """Execute a statement for each set of parameters.

        Args:
            sql: The statement, which may not be a query.
            parameters: The sets.

        Raises:
            sqlite3.Error: SQLite refused it; for the sets before, it has been executed.
        """
        await self._host.call(self._run_many, sql, parameters)
        return self

    async def executescript(self, script: str) -> Self:
        """Commit what is open, and execute a script.

        Args:
            script: The statements.

        Raises:
            sqlite3.Error: SQLite refused one of them.
        """
        await self._host.call(self._run_script, script)
        return self

    async def fetchone(self) -> Any:
        """Answer the next row, or `None`."""
        return next(iter(await self.fetchmany(1)), None)

    async def fetchmany(self, size: int | None = None) -> list[Any]:
        """Answer the next rows.

        Args:
            size: How many at most. Default: `arraysize`.
        """
        wanted = self.arraysize if size is None else size
        if self._stream is None:
            return list(islice(self._rows, wanted))
        return await self._host.call(self._fetch, self._stream, wanted)

    async def fetchall(self) -> list[Any]:
        """Answer all rows that are left."""
        if self._stream is None:
            return list(self._rows)
        return await self._host.call(self._fetch, self._stream, None)

    async def close(self) -> None:
        """Forget the rows. Only a stream that was not read to its end has to visit the thread."""
        self._rows = iter(_NONE)
        if self._stream is not None:
            await self._host.call(self._end_stream)

    def _open(self) -> sqlite3.Cursor:
        self._end_stream()
        self._rows = iter(_NONE)
        cursor = self._host.opened().cursor()
        if self.row_factory is not None:
            cursor.row_factory = self.row_factory
        return cursor

    def _run_one(self, sql: str, parameters: Any, streamed: bool) -> None:  # noqa: FBT001  # passed through `call`
        cursor = self._open()
        try:
            cursor.execute(sql, parameters)
            if streamed:
                self._stream = cursor
                self._host.keep(cursor)
            else:
                self._rows = iter(cursor.fetchall())
            self._note(cursor)
        finally:
            if cursor is not self._stream:
                # A statement that is not reset keeps its lock as long as a traceback refers to it.
                cursor.close()

    def _run_many(self, sql: str, parameters: Iterable[Any]) -> None:
        cursor = self._open()
        try:
            cursor.executemany(sql, parameters)
            self._note(cursor)
        finally:
            cursor.close()

    def _run_script(self, script: str) -> None:
        cursor = self._open()
        try:
            cursor.executescript(script)
            self._note(cursor)
        finally:
            cursor.close()

    def _fetch(self, cursor: sqlite3.Cursor, size: int | None) -> list[Any]:
        rows = cursor.fetchall() if size is None else cursor.fetchmany(size)
        self._note(cursor)
        if size is None or len(rows) < size:
            self._end_stream()
        return rows

    def _note(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        self.lastrowid = cursor.lastrowid
        self.rowcount = cursor.rowcount

    def _end_stream(self) -> None:
        cursor, self._stream = self._stream, None
        if cursor is not None:
            cursor.close()
