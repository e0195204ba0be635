"""Which statements are known to do nothing but read."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnClause, TextClause
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import visitors
from sqlalchemy.sql.selectable import GenerativeSelect

from hawkapi_sqlalchemy.core.routing.harmless import is_harmless

__all__ = ["only_reads_surely"]

_MOST_VERDICTS = 1000
"""Statements of which one dialect's verdicts are kept; then it begins anew."""

type _Verdicts = dict[tuple[Any, ...], bool]

_verdicts: WeakKeyDictionary[Dialect, _Verdicts] = WeakKeyDictionary()


def only_reads_surely(statement: Any, dialect: Dialect) -> bool:
    """Tell whether a statement certainly neither stores nor locks anything.

    What has a part that is written as text counts as one that may; the rest is judged by the SQL
    that is sent, options and properties of the mapping included.

    Args:
        statement: A construct of SQLAlchemy's.
        dialect: What it is compiled for.
    """
    if not isinstance(statement, GenerativeSelect):
        return False
    # SQLAlchemy makes the key once for a statement, and needs it afterwards.
    key = statement._generate_cache_key()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # has no public name
    if key is None:
        return _judge(statement, dialect)
    verdicts = _verdicts.get(dialect)
    if verdicts is None:
        verdicts = _verdicts[dialect] = {}
    verdict = verdicts.get(key.key)
    if verdict is None:
        if len(verdicts) >= _MOST_VERDICTS:
            verdicts.clear()
        verdict = verdicts[key.key] = _judge(statement, dialect)
    return verdict


def _judge(statement: GenerativeSelect, dialect: Dialect) -> bool:
    if any(_is_text(each) or _locks(each) for each in visitors.iterate(statement)):
        return False
    try:
        sql = str(statement.compile(dialect=dialect))
    except SQLAlchemyError:
        # Whoever executes it is told.
        return False
    return is_harmless(sql)


def _is_text(element: Any) -> bool:
    if isinstance(element, TextClause):
        return True
    # `func.count()` and `exists()` write their star so.
    return isinstance(element, ColumnClause) and element.is_literal and element.name != "*"  # pyright: ignore[reportUnknownMemberType]  # of any type


def _locks(element: Any) -> bool:
    # SQLite's SQL does not show it.
    return getattr(element, "_for_update_arg", None) is not None
