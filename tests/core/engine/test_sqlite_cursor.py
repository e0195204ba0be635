"""The cursor of SQLite's connections: what aiosqlite's answers, it answers too."""

from __future__ import annotations

import ast
import inspect
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import aiosqlite
import pytest
from aiosqlite import core

from hawkapi_sqlalchemy.core.dialects import aiosqlite_connection, aiosqlite_cursor
from hawkapi_sqlalchemy.core.dialects.aiosqlite_connection import Connection, connect

PRIVATE = {
    "_STOP_RUNNING_SENTINEL",
    "_conn",
    "_connection",
    "_execute",
    "_iter_chunk_size",
    "_running",
    "_thread",
    "_tx",
}
MAKERS = {"ours": connect, "aiosqlite's": aiosqlite.connect}


@pytest.fixture(params=MAKERS)
async def connection(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Any]:
    """A connection with a table of three rows: ours, and aiosqlite's to compare."""
    make: Any = MAKERS[request.param]
    async with make(str(tmp_path / "app.db"), isolation_level=None) as connection:
        await connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT UNIQUE)")
        await connection.execute("INSERT INTO t (x) VALUES ('a'), ('b'), ('c')")
        yield connection


async def test_a_query_has_a_description_and_rows_to_fetch_in_any_portions(connection: Any) -> None:
    cursor = await connection.cursor()
    assert (cursor.description, cursor.rowcount, cursor.lastrowid) == (None, -1, None)
    await cursor.execute("SELECT id, x FROM t WHERE id >= ? ORDER BY id", (1,))
    assert [each[0] for each in cursor.description] == ["id", "x"]
    assert cursor.rowcount == -1
    assert tuple(await cursor.fetchone()) == (1, "a")
    assert [tuple(row) for row in await cursor.fetchmany(1)] == [(2, "b")]
    assert [tuple(row) for row in await cursor.fetchall()] == [(3, "c")]
    assert await cursor.fetchone() is None
    assert (await cursor.fetchmany(5), await cursor.fetchall()) == ([], [])
    await cursor.close()


async def test_an_empty_result_has_a_description_and_no_rows(connection: Any) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT x FROM t WHERE id = 77")
        assert cursor.description is not None
        assert await cursor.fetchall() == []


async def test_what_is_no_query_has_no_description(connection: Any) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT x FROM t")
        await cursor.execute("UPDATE t SET x = x || '!' WHERE id > :id", {"id": 1})
        assert cursor.description is None
        assert cursor.rowcount == 2
        assert await cursor.fetchall() == []


async def test_an_insert_tells_the_rows_number(connection: Any) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("INSERT INTO t (id, x) VALUES (41, 'd')")
        assert (cursor.lastrowid, cursor.rowcount) == (41, 1)
        await cursor.execute("INSERT INTO t (x) VALUES ('e') RETURNING id")
        assert [tuple(row) for row in await cursor.fetchall()] == [(42,)]
        assert (cursor.lastrowid, cursor.rowcount) == (42, 1)


async def test_many_sets_of_parameters_are_counted_together(connection: Any) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany("INSERT INTO t (x) VALUES (?)", [("d",), ("e",)])
        assert (cursor.description, cursor.rowcount) == (None, 2)
        assert await cursor.fetchall() == []


async def test_a_script_runs_as_a_whole(connection: Any) -> None:
    async with connection.cursor() as cursor:
        await cursor.executescript("DELETE FROM t; INSERT INTO t (x) VALUES ('z');")
        await cursor.execute("SELECT x FROM t")
        assert [row[0] for row in await cursor.fetchall()] == ["z"]


async def test_two_cursors_have_nothing_in_common(connection: Any) -> None:
    one, other = await connection.cursor(), await connection.cursor()
    await one.execute("SELECT id FROM t ORDER BY id")
    await other.execute("SELECT x FROM t ORDER BY id")
    seen = [(await one.fetchone())[0], (await other.fetchone())[0], (await one.fetchone())[0]]
    await one.close()
    assert seen == [1, "a", 2]
    assert [row[0] for row in await other.fetchall()] == ["b", "c"]
    await other.close()


async def test_an_error_keeps_its_class_and_code_and_the_cursor_goes_on(connection: Any) -> None:
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT x FROM t")
        with pytest.raises(sqlite3.IntegrityError) as caught:
            await cursor.execute("INSERT INTO t (x) VALUES ('a')")
        assert await cursor.fetchall() == []
        assert caught.value.sqlite_errorcode == sqlite3.SQLITE_CONSTRAINT_UNIQUE
        with pytest.raises(sqlite3.OperationalError):
            await cursor.execute("SELECT nonsense")
        with pytest.raises(sqlite3.ProgrammingError):
            await cursor.execute("SELECT ?", (1, 2))
        await cursor.execute("SELECT count(*) FROM t")
        assert (await cursor.fetchone())[0] == 3


async def test_it_iterates_and_takes_row_factories(connection: Any) -> None:
    connection.row_factory = sqlite3.Row
    async with connection.cursor() as cursor:
        await cursor.execute("SELECT x FROM t ORDER BY id")
        assert [row["x"] async for row in cursor] == ["a", "b", "c"]
    async with connection.cursor() as cursor:
        cursor.row_factory = lambda _, row: row[0]
        cursor.arraysize = 2
        await cursor.execute("SELECT x FROM t ORDER BY id")
        assert await cursor.fetchmany() == ["a", "b"]


async def test_arguments_of_sqlite3_reach_it(tmp_path: Path) -> None:
    url = f"file:{tmp_path / 'app.db'}?mode=rwc"
    types = sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES
    sqlite3.register_converter("upper", lambda value: value.decode().upper())
    async with (
        connect(url, uri=True, detect_types=types, cached_statements=3) as connection,
        connection.cursor() as cursor,
    ):
        await cursor.execute("SELECT 'a' AS \"a [upper]\"")
        assert await cursor.fetchall() == [("A",)]


async def test_a_half_read_stream_is_closed_with_its_cursor(tmp_path: Path) -> None:
    async with connect(str(tmp_path / "app.db"), isolation_level=None) as connection:
        await connection.execute("CREATE TABLE t (x INTEGER)")
        await connection.execute("INSERT INTO t VALUES (1), (2), (3)")
        connection.stream_next()
        cursor = await connection.cursor().execute("SELECT x FROM t")
        assert await cursor.fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await connection.execute("DROP TABLE t")
        await cursor.close()
        assert await cursor.fetchall() == []
        await connection.execute("DROP TABLE t")


def private_names(module: Any) -> set[str]:
    """The private names of others that a module uses, as attributes or imports."""
    tree = ast.parse(inspect.getsource(module))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "aiosqlite.core":
            used |= {alias.name for alias in node.names}
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            used.add(node.targets[0].id)
    theirs = {*dir(core), *dir(aiosqlite.Connection), *vars(aiosqlite.connect(":memory:"))}
    return {name for name in used & theirs if name.startswith("_") and not name.endswith("__")}


def test_the_private_names_of_aiosqlite_stand_in_one_file_and_mean_what_they_meant() -> None:
    assert private_names(aiosqlite_connection) == PRIVATE
    assert private_names(aiosqlite_cursor) == set()
    plain = aiosqlite.connect(":memory:")
    assert isinstance(plain._tx, SimpleQueue)
    assert plain._running is True
    assert plain._connection is None
    assert plain._iter_chunk_size == 64
    assert not plain._thread.is_alive()


def test_all_that_aiosqlite_does_in_its_thread_goes_through_one_method() -> None:
    """`_execute` is where a delayed BEGIN is put in front."""
    around = {
        name
        for name, method in inspect.getmembers(aiosqlite.Connection, inspect.isfunction)
        if "self._tx" in inspect.getsource(method) and name not in vars(Connection)
    }
    # What opens a connection; there is nothing to begin before it.
    assert around == {"__init__", "_connect"} - set(vars(Connection))
