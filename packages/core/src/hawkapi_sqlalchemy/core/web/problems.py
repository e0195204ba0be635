"""What a client is told when the database fails: RFC 9457 problem documents."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hawkapi import HawkAPI, Request, Response
from hawkapi.serialization.encoder import encode_response
from sqlalchemy.exc import SQLAlchemyError

from hawkapi_sqlalchemy.core.errors import (
    CommitOutcomeUnknownError,
    HawkAPISQLAlchemyError,
    PartialCommitError,
)
from hawkapi_sqlalchemy.core.faults import Fault, fault_of
from hawkapi_sqlalchemy.core.web._hawkapi import handler_of_application, is_handled

__all__ = ["problem_response", "register_error_handlers"]

logger = logging.getLogger("hawkapi_sqlalchemy")

_RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    title: str
    detail: str


_CONFLICT = "Conflict"
_UNAVAILABLE = "Service Unavailable"

_ANSWERS: Mapping[Fault, _Answer] = {
    Fault.UNIQUE: _Answer(409, _CONFLICT, "A record with these values exists already."),
    Fault.FOREIGN_KEY: _Answer(
        409, _CONFLICT, "A record that this one refers to, or that refers to it, stands in the way."
    ),
    Fault.STALE: _Answer(409, _CONFLICT, "The record was changed by someone else meanwhile."),
    Fault.POOL_EXHAUSTED: _Answer(
        503, _UNAVAILABLE, "All database connections are in use; try again shortly."
    ),
    Fault.UNREACHABLE: _Answer(503, _UNAVAILABLE, "The database cannot be reached at the moment."),
    Fault.DEADLOCK: _Answer(
        503, _UNAVAILABLE, "The request collided with another one; try again shortly."
    ),
    Fault.SERIALIZATION: _Answer(
        503, _UNAVAILABLE, "The request collided with another one; try again shortly."
    ),
    Fault.LOCK_TIMEOUT: _Answer(
        503, _UNAVAILABLE, "The record is locked by another request; try again shortly."
    ),
    Fault.STATEMENT_TIMEOUT: _Answer(
        504, "Gateway Timeout", "The database took too long to answer."
    ),
}

_OUTCOME_UNKNOWN = _Answer(
    503,
    _UNAVAILABLE,
    "The database was lost while it stored the change; look whether it is there before you try "
    "again.",
)

_UNEXPECTED = _Answer(500, "Internal Server Error", "The database reported an error.")


def problem_response(error: Exception) -> Response:
    """Describe a database error to the client.

    No statement, no parameter, no URL and no driver text is part of it.

    Args:
        error: What a session raised, at a statement, at the flush or at COMMIT.

    Returns:
        The response: 409, 503 with `Retry-After`, 504 or 500.
    """
    cause = error.__cause__ if isinstance(error, PartialCommitError) else error
    if isinstance(cause, CommitOutcomeUnknownError):
        return _problem(_OUTCOME_UNKNOWN, error)
    return _problem(_ANSWERS.get(fault_of(error), _UNEXPECTED), error)


def _problem(answer: _Answer, error: Exception) -> Response:
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": answer.title,
        "status": answer.status,
        "detail": answer.detail,
    }
    if isinstance(error, PartialCommitError):
        document["detail"] = f"{answer.detail} Part of the request had been stored before."
        document["committed"] = list(error.committed)
        document["failed"] = error.failed
    headers = {"retry-after": str(_RETRY_AFTER_SECONDS)} if answer.status == 503 else None
    return Response(
        encode_response(document),
        status_code=answer.status,
        headers=headers,
        content_type="application/problem+json",
    )


def register_error_handlers(app: HawkAPI) -> None:
    """Answer database errors of an application's handlers, unless the application does.

    Args:
        app: The application.
    """

    async def answer(request: Request, error: Exception) -> Any:
        handler = handler_of_application(app, error, answer)
        if handler is not None:
            try:
                result = handler(request, error)
                return await result if inspect.isawaitable(result) else result
            except Exception:
                # Left to HawkAPI, the answer would tell the database's error in debug mode.
                logger.exception("the application's handler of a database error failed")
                return _problem(_UNEXPECTED, error)
        response = problem_response(error)
        _log(request, error, response.status_code)
        return response

    for kind in (SQLAlchemyError, HawkAPISQLAlchemyError):
        if not is_handled(app, kind):
            app.exception_handler(kind)(answer)


def _log(request: Request, error: Exception, status: int) -> None:
    if status >= 500 and fault_of(error) is Fault.OTHER:
        logger.error("%s %s: database error", request.method, request.path, exc_info=error)
    elif status >= 500:
        logger.warning(
            "%s %s: answered %d: %s", request.method, request.path, status, _first_line(error)
        )


def _first_line(error: Exception) -> str:
    # The further lines of a driver's error hold the statement and its parameters.
    return str(error).partition("\n")[0]
