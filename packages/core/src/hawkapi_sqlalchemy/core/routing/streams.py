"""Which results are read from their connection bit by bit.

All others have come as a whole, and need it no more. The names are private to SQLAlchemy, whose
`AsyncSession` looks at the same ones to refuse a stream that nobody has asked for. Where one is
missing, a result is taken for a stream that is not at its end.
"""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, Result, ScalarResult

__all__ = ["is_open", "stream_of"]


def stream_of(result: Any) -> CursorResult[Any] | None:
    """Answer what of a statement's result is a stream; `None` if nothing is.

    Args:
        result: What a session's `execute`, `scalars` or `scalar` has returned.
    """
    # Scalars are a filter around the result, and the ORM's objects are made from a cursor's rows.
    if isinstance(result, ScalarResult):
        result = getattr(cast("Any", result), "_real_result", None)
    if not isinstance(result, Result):
        return None
    cursor: Any = getattr(cast("Any", result), "raw", cast("Any", result))
    if isinstance(cursor, CursorResult) and getattr(cursor.context, "_is_server_side", True):
        return cast("CursorResult[Any]", cursor)
    return None


def is_open(stream: CursorResult[Any]) -> bool:
    """Tell whether a stream was not read to its end, nor closed.

    Args:
        stream: What `stream_of` has answered.
    """
    return not getattr(stream, "_soft_closed", False)
