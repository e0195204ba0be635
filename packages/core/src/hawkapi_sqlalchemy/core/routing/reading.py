"""Which statements are known to do nothing but read."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import ClauseElement, ColumnClause, FunctionElement, TextClause, Values
from sqlalchemy.sql import visitors
from sqlalchemy.sql.functions import Function, GenericFunction
from sqlalchemy.sql.selectable import GenerativeSelect

__all__ = ["only_reads_surely"]

_PURE_FUNCTIONS = frozenset(
    {
        "abs",
        "avg",
        "bit_length",
        "cast",
        "ceil",
        "ceiling",
        "char_length",
        "character_length",
        "coalesce",
        "concat",
        "concat_ws",
        "count",
        "cume_dist",
        "current_date",
        "current_time",
        "current_timestamp",
        "date",
        "date_part",
        "date_trunc",
        "dense_rank",
        "extract",
        "first_value",
        "floor",
        "greatest",
        "group_concat",
        "grouping",
        "ifnull",
        "json_array_length",
        "json_extract",
        "lag",
        "last_value",
        "lead",
        "least",
        "length",
        "localtime",
        "localtimestamp",
        "lower",
        "ltrim",
        "max",
        "min",
        "mod",
        "ntile",
        "now",
        "nullif",
        "nth_value",
        "octet_length",
        "percent_rank",
        "percentile_cont",
        "percentile_disc",
        "position",
        "power",
        "rank",
        "replace",
        "round",
        "row_number",
        "rtrim",
        "sign",
        "sqrt",
        "string_agg",
        "strftime",
        "strpos",
        "substr",
        "substring",
        "sum",
        "to_char",
        "trim",
        "trunc",
        "upper",
    }
)
"""SQL functions that store nothing, take no lock and count nothing up, on any server."""

_TEXTS = ("_prefixes", "_suffixes", "_hints", "_statement_hints")
"""Where a statement keeps parts that are written as text: they are not visited."""

_COMPILED = "_compiler_dispatcher"
"""What `sqlalchemy.ext.compiler.compiles` gives a class, which may then become any SQL."""


def only_reads_surely(statement: Any) -> bool:
    """Tell whether a statement certainly neither stores nor locks anything.

    What is written as text is not understood, and of functions only the well-known ones are.

    Args:
        statement: A construct of SQLAlchemy's.
    """
    if not isinstance(statement, GenerativeSelect):
        return False
    return not any(_may_write(each) for each in visitors.iterate(statement))


def _may_write(element: Any) -> bool:
    if any(getattr(element, name, None) for name in _TEXTS) or hasattr(
        element.__class__, _COMPILED
    ):
        return True
    if isinstance(element, GenerativeSelect):
        return element._for_update_arg is not None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # has no public name
    if isinstance(element, FunctionElement):
        return not _is_pure(cast("Any", element))
    if isinstance(element, Values):
        return _has_expressions(element)
    return _is_text(element) or _is_dml(element)


def _is_text(element: Any) -> bool:
    if isinstance(element, TextClause):
        return True
    # `func.count()` and `exists()` write their star so.
    return isinstance(element, ColumnClause) and element.is_literal and element.name != "*"  # pyright: ignore[reportUnknownMemberType]  # of any type


def _has_expressions(element: Any) -> bool:
    """Tell whether a `VALUES` holds more than plain values; they are not visited."""
    return any(
        isinstance(value, ClauseElement)
        for rows in element._data  # noqa: SLF001  # has no public name
        for row in rows
        for value in row
    )


def _is_pure(function: FunctionElement[Any]) -> bool:
    if isinstance(function, Function) and function.packagenames:
        # One of somebody's own schema.
        return False
    known = isinstance(function, (Function, GenericFunction))
    return known and function.name.lower() in _PURE_FUNCTIONS


def _is_dml(element: Any) -> bool:
    return getattr(element, "is_dml", False)
