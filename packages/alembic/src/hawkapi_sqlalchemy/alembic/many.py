"""One command over several databases: a canary first, one failure kept from the others."""

from collections.abc import Callable, Sequence

from hawkapi_sqlalchemy.alembic.errors import (
    DatabasesFailedError,
    DatabaseUnreachableError,
    MigrationLockTimeoutError,
)
from hawkapi_sqlalchemy.alembic.invocation import Invocation
from hawkapi_sqlalchemy.alembic.recording import Recorder
from hawkapi_sqlalchemy.alembic.stopping import stop_asked

__all__ = ["visit"]

_SAYS_NOTHING = (DatabaseUnreachableError, MigrationLockTimeoutError)
"""Failures that come before the first migration, and so tell nothing about the next database."""


def visit(
    databases: Sequence[str],
    invocation: Invocation,
    work: Callable[[Recorder], None],
    *,
    has_canary: bool,
) -> None:
    """Go to each database.

    Args:
        databases: Their names, the canary's first.
        invocation: Collects the results.
        work: What is done to each.
        has_canary: Until one database has got to where it should be, a failure
            ends the run: that database was the canary, and the others are left
            as they are. Only a failure that says nothing about the migrations,
            an unreachable server for instance, hands this task on to the next
            one.

    Raises:
        DatabasesFailedError: Some of several failed.
        Exception: What `work` raised, where there is one database alone.
    """
    invocation.databases = tuple(databases)
    is_proven = not has_canary
    for database in databases:
        if stop_asked():
            break
        recorder = Recorder(invocation, database)
        try:
            work(recorder)
        except Exception as error:
            # Whatever a migration raises: the report at the end holds it.
            recorder.end(error)
            if len(databases) == 1:
                raise
            if not is_proven and not isinstance(error, _SAYS_NOTHING):
                break
        else:
            recorder.end()
            is_proven = True
    if any(result.error is not None for result in invocation.results):
        raise DatabasesFailedError(invocation.results, invocation.not_attempted)
