"""Which statements are known to do nothing but read."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import ColumnClause, FunctionElement, TextClause
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
    if isinstance(element, GenerativeSelect):
        return element._for_update_arg is not None  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # has no public name
    if isinstance(element, FunctionElement):
        return not _is_pure(cast("Any", element))
    is_text = isinstance(element, TextClause) or (
        isinstance(element, ColumnClause) and element.is_literal  # pyright: ignore[reportUnknownMemberType]  # of any type
    )
    return is_text or _is_dml(cast("Any", element))


def _is_pure(function: FunctionElement[Any]) -> bool:
    if isinstance(function, Function) and function.packagenames:
        # One of somebody's own schema.
        return False
    known = isinstance(function, (Function, GenericFunction))
    return known and function.name.lower() in _PURE_FUNCTIONS


def _is_dml(element: Any) -> bool:
    return getattr(element, "is_dml", False)
