"""What SQLAlchemy can reflect of a schema."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, cast

from sqlalchemy import Connection, inspect
from sqlalchemy.dialects.postgresql.base import PGInspector
from sqlalchemy.engine.reflection import Inspector
from sqlalchemy.exc import SAWarning

from hawkapi_sqlalchemy.pytest.migration_tests.parts import Part

__all__ = ["reflect"]

type _Found = Iterator[tuple[Part, str]]


def reflect(connection: Connection) -> dict[Part, str]:
    """List tables and what belongs to them, views, and types of PostgreSQL, with definitions.

    Args:
        connection: The database.
    """
    inspector = inspect(connection)
    found: dict[Part, str] = {}
    with warnings.catch_warnings():
        # Of types that SQLAlchemy does not know, and of SQLite's indexes of expressions.
        warnings.simplefilter("ignore", SAWarning)
        if not isinstance(inspector, PGInspector):
            return dict(_of_schema(inspector, None))
        for name in inspector.get_schema_names():
            if name == "information_schema":
                continue
            is_usual = name == inspector.default_schema_name
            schema = None if is_usual else name
            if schema is not None:
                found[Part("schema", schema)] = ""
            found.update(_of_schema(inspector, schema))
            found.update(_types(inspector, schema))
    return found


def _of_schema(inspector: Inspector, schema: str | None) -> _Found:
    for name in inspector.get_table_names(schema=schema):
        yield Part("table", _within(schema, name)), ""
    for name in inspector.get_view_names(schema=schema):
        definition = inspector.get_view_definition(name, schema=schema)
        yield Part("view", _within(schema, name)), _words(definition)
    yield from _columns(inspector, schema)
    yield from _indexes(inspector, schema)
    yield from _constraints(inspector, schema)


def _columns(inspector: Inspector, schema: str | None) -> _Found:
    for (_, table), columns in inspector.get_multi_columns(schema=schema).items():
        for each in columns:
            definition = str(each["type"])
            if not each["nullable"]:
                definition += " NOT NULL"
            if (default := each["default"]) is not None:
                definition += f" DEFAULT {_words(default)}"
            if comment := each.get("comment"):
                definition += f" COMMENT {comment!r}"
            yield Part("column", each["name"], _within(schema, table)), definition


def _indexes(inspector: Inspector, schema: str | None) -> _Found:
    for (_, table), indexes in inspector.get_multi_indexes(schema=schema).items():
        for each in indexes:
            if each.get("duplicates_constraint"):
                continue
            of = each.get("expressions") or each["column_names"]
            unique = "UNIQUE " if each["unique"] else ""
            name = each["name"] or "(no name)"
            yield Part("index", name, _within(schema, table)), f"{unique}{_listed(of)}"


def _constraints(inspector: Inspector, schema: str | None) -> _Found:
    for (_, table), key in inspector.get_multi_pk_constraint(schema=schema).items():
        if key and key["constrained_columns"]:
            columns = _listed(key["constrained_columns"])
            yield Part("primary key", key["name"] or columns, _within(schema, table)), columns
    for (_, table), keys in inspector.get_multi_foreign_keys(schema=schema).items():
        for each in keys:
            to = _within(each["referred_schema"], each["referred_table"])
            columns = _listed(each["constrained_columns"])
            definition = f"{columns} to {to} {_listed(each['referred_columns'])}"
            for name, value in sorted(_options(each).items()):
                definition += f" {name} {value}"
            yield Part("foreign key", each["name"] or columns, _within(schema, table)), definition
    for (_, table), constraints in inspector.get_multi_unique_constraints(schema=schema).items():
        for each in constraints:
            columns = _listed(each["column_names"])
            # On MariaDB and MySQL it is an index, which is listed.
            if not each.get("duplicates_index"):
                name = each["name"] or columns
                yield Part("unique constraint", name, _within(schema, table)), columns
    for (_, table), constraints in inspector.get_multi_check_constraints(schema=schema).items():
        for each in constraints:
            text = _words(each["sqltext"])
            yield Part("check constraint", each["name"] or text, _within(schema, table)), text


def _types(inspector: PGInspector, schema: str | None) -> _Found:
    for each in inspector.get_enums(schema=schema):
        yield Part("enum type", _within(schema, each["name"])), ", ".join(each["labels"])
    for each in inspector.get_domains(schema=schema):
        yield Part("domain", _within(schema, each["name"])), each["type"]


def _within(schema: str | None, name: str) -> str:
    return f"{schema}.{name}" if schema else name


def _listed(columns: Any) -> str:
    return f"({', '.join(str(each) for each in columns)})"


def _options(key: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", key.get("options") or {})


def _words(text: str | None) -> str:
    return " ".join((text or "").split())
