"""Which SQL does nothing but read: judged by the text that is sent."""

from __future__ import annotations

import re

__all__ = ["is_harmless"]

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
        "rand",
        "random",
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


_BEFORE_PARENTHESES = frozenset(
    {
        "all",
        "and",
        "any",
        "array",
        "as",
        "between",
        "by",
        "case",
        "distinct",
        "else",
        "except",
        "exists",
        "filter",
        "from",
        "group",
        "having",
        "ilike",
        "in",
        "intersect",
        "is",
        "join",
        "lateral",
        "like",
        "limit",
        "materialized",
        "not",
        "offset",
        "on",
        "or",
        "over",
        "row",
        "select",
        "some",
        "then",
        "union",
        "using",
        "values",
        "when",
        "where",
    }
)
"""Keywords that a parenthesis may follow: they call nothing."""

_NAMING = frozenset({"as", "with", "recursive", "::"})
"""What comes before the name of an alias, of a CTE, or of a type: `AS v (a, b)`, `VARCHAR(30)`."""

_STORING = frozenset({"delete", "insert", "into", "merge", "nextval", "setval", "update"})

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
    | (?P<quoted>"[^"]*"|`[^`]*`)
    # A backslash means one thing or the other, depending on the server's settings.
    | (?P<literal>'[^'\\]*'|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\$\d+|%\(\w+\)s)
    | (?P<word>[^\W\d]\w*)
    | (?P<symbol>::|[()\[\],.]|[-+*/%<>=~!@&|^?:#]+)
    """,
    re.VERBOSE,
)

_ODD_SYMBOL = re.compile(r"--|/\*|:=|\#(?![>-])")
"""Comments, in which MariaDB may be told to do something, and assignments."""

type _Token = tuple[str, str]
"""Its kind, and its text in lower case."""

_NONE: _Token = ("", "")


def is_harmless(sql: str) -> bool:
    """Tell whether a `SELECT` certainly neither stores nor locks anything.

    Of functions only the well-known ones are known to do neither. Tables, views and operators are
    trusted.

    Args:
        sql: The statement's text, as SQLAlchemy has compiled it for a driver.
    """
    tokens = _tokens(sql)
    if not tokens or tokens[0][1] not in {"select", "with", "("}:
        return False
    return all(map(_is_harmless, [_NONE, *tokens], tokens, [*tokens[1:], _NONE]))


def _tokens(sql: str) -> list[_Token]:
    """Take a text apart; nothing is answered for one that is not understood."""
    tokens: list[_Token] = []
    place = 0
    while place < len(sql):
        match = _TOKEN.match(sql, place)
        if match is None:
            return []
        place = match.end()
        kind = match.lastgroup or ""
        if kind == "symbol" and _ODD_SYMBOL.search(match[0]):
            return []
        if kind != "space":
            tokens.append((kind, match[0].lower()))
    return tokens


def _is_harmless(before: _Token, token: _Token, after: _Token) -> bool:
    kind, text = token
    if kind not in {"word", "quoted"}:
        return True
    is_part = before == ("symbol", ".")
    if after == ("symbol", "(") and before[1] not in _NAMING:
        # One of somebody's own schema, or of a quoted name, is not the one that is known.
        known = text in _PURE_FUNCTIONS or text in _BEFORE_PARENTHESES
        return kind == "word" and known and not is_part
    if kind == "quoted":
        return True
    if text == "for":
        # `SUBSTRING(name FROM 1 FOR 3)`
        return after[0] != "word"
    if (text, after[1]) in {("lock", "in"), ("next", "value")}:
        return False
    return text not in _STORING or (is_part and text != "nextval")
