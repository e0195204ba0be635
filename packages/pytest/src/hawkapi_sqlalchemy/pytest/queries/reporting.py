"""Texts about statements that were sent."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from reprlib import Repr
from typing import Any

from hawkapi_sqlalchemy.pytest.queries.records import SourceLine, Statement

__all__ = ["describe", "describe_line", "listing", "parameter_sets", "shortened"]

_WIDTH = 200
"""Characters of a statement that are shown."""
_LINES = 20
"""Different statements that are listed."""
_SETS = 3
"""Sets of parameters that are shown of a statement sent several times."""

_short = Repr()
_short.maxstring = _short.maxother = 60
_short.maxtuple = _short.maxlist = _short.maxdict = 8
_short.maxlevel = 3


def shortened(sql: str) -> str:
    """Put a statement on one line of bounded length.

    Args:
        sql: The statement.
    """
    return textwrap.shorten(sql, _WIDTH, placeholder=" …")


def describe_line(source: SourceLine | None) -> str:
    """Tell which line of code it is, with its text.

    Args:
        source: The line, if it is known.
    """
    if source is None:
        return "from no line of the application"
    code = source.code
    return f"{source}: {code}" if code else str(source)


def parameter_sets(statements: Sequence[Statement]) -> str:
    """Show the first parameters that a statement was sent with; empty if it has none.

    Args:
        statements: All times that it was sent.
    """
    if not any(each.query.parameters for each in statements):
        return ""
    if any(each.hides_parameters for each in statements):
        return "parameters: hidden by the engine"
    shown = [_short.repr(_plain(each.query.parameters)) for each in statements[:_SETS]]
    if len(statements) > _SETS:
        shown.append("…")
    return f"parameters: {', '.join(shown)}"


def _plain(parameters: Any) -> Any:
    # Drivers get dictionaries of SQLAlchemy's own, whose text is no Python's.
    return dict(parameters) if hasattr(parameters, "keys") else parameters


def describe(statements: Sequence[Statement], *, names_database: bool) -> list[str]:
    """Describe a statement and how often it was sent.

    Args:
        statements: All times that it was sent, from one line to one database.
        names_database: Whether the database's name is shown.

    Returns:
        Lines of text.
    """
    query = statements[0].query
    times = f"{len(statements)} times: " if len(statements) > 1 else ""
    where = f"[{query.database}] " if names_database else ""
    lines = [f"{times}{where}{shortened(query.sql)}", f"    {describe_line(query.source)}"]
    if query.relationship is not None:
        lines.append(f"    a lazy load of {query.relationship}")
    if shown := parameter_sets(statements):
        lines.append(f"    {shown}")
    return lines


def listing(statements: Iterable[Statement]) -> str:
    """List statements in the order in which each was first sent, the same ones together.

    Args:
        statements: The statements.
    """
    groups: dict[object, list[Statement]] = {}
    for each in statements:
        query = each.query
        groups.setdefault((query.sql, query.database, query.source), []).append(each)
    names_database = len({each[0].query.database for each in groups.values()}) > 1
    lines: list[str] = []
    for group in list(groups.values())[:_LINES]:
        lines += describe(group, names_database=names_database)
    if len(groups) > _LINES:
        lines.append(f"… and {len(groups) - _LINES} other statements")
    return textwrap.indent("\n".join(lines), "  ")
