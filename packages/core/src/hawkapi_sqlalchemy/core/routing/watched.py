"""Connections that know whether their transaction has surely only read.

SQLAlchemy's `Connection` has one method through which all statements go, but for a sequence that is
executed by itself. Their names are private, as are those of `hooks`. Where one is missing, every
transaction counts as one that may have written.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Compiled, Connection, Engine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.selectable import GenerativeSelect

from hawkapi_sqlalchemy.core.routing.harmless import is_harmless

__all__ = ["has_only_read", "watch_statements"]

_MAY_HAVE_WRITTEN = "hawkapi_may_have_written"
_HAS_ONLY_READ = "hawkapi_has_only_read"
"""Attributes of a watched connection: so far, and at its COMMIT."""

_VERDICT = "hawkapi_is_harmless"
"""An attribute of a compiled statement, which SQLAlchemy keeps and uses again."""

_PRIVATE_NAMES = (
    "_begin_impl",
    "_commit_impl",
    "_execute_context",
    "_execute_default",
    "_rollback_impl",
)


def watch_statements(engine: Engine) -> None:
    """Have an engine's connections, and those of engines derived from it, watch their statements.

    Args:
        engine: One whose transactions are hooked.
    """
    if not all(hasattr(Connection, name) for name in _PRIVATE_NAMES):
        return
    # `engine.execution_options(...)` derives an engine of the second class.
    for owner in (engine, engine._option_cls):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see above
        kind: type[Connection] = owner._connection_cls  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see above
        if not issubclass(kind, _Watching):
            owner._connection_cls = type("WatchedConnection", (_Watching, kind), {})  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see above


def has_only_read(connection: Connection) -> bool:
    """Tell whether the transaction that a connection has just ended has surely only read.

    Args:
        connection: The connection, when its COMMIT has held.
    """
    return vars(connection).get(_HAS_ONLY_READ, False)


class _Watching(Connection):
    def _begin_impl(self, transaction: Any) -> None:
        # What a policy sends here stores nothing.
        before = vars(self).get(_MAY_HAVE_WRITTEN, False)
        super()._begin_impl(transaction)
        vars(self)[_MAY_HAVE_WRITTEN] = before

    def _commit_impl(self) -> None:
        self._end()
        super()._commit_impl()
        vars(self)[_MAY_HAVE_WRITTEN] = False

    def _rollback_impl(self) -> None:
        # In AUTOCOMMIT it ends what was stored statement by statement.
        self._end()
        super()._rollback_impl()
        vars(self)[_MAY_HAVE_WRITTEN] = False

    def _end(self) -> None:
        vars(self)[_HAS_ONLY_READ] = not vars(self).get(_MAY_HAVE_WRITTEN, False)

    def _execute_context(
        self, dialect: Any, constructor: Any, statement: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if not _only_reads(statement):
            vars(self)[_MAY_HAVE_WRITTEN] = True
        return super()._execute_context(dialect, constructor, statement, *args, **kwargs)

    def _execute_default(self, *args: Any, **kwargs: Any) -> Any:
        vars(self)[_MAY_HAVE_WRITTEN] = True
        return super()._execute_default(*args, **kwargs)

    @property
    def connection(self) -> PoolProxiedConnection:
        # Who has it may do anything with the driver's connection.
        vars(self)[_MAY_HAVE_WRITTEN] = True
        return super().connection


def _only_reads(statement: str | Compiled) -> bool:
    if not isinstance(statement, SQLCompiler):
        return False
    known = vars(statement)
    verdict: bool | None = known.get(_VERDICT)
    if verdict is None:
        verdict = known[_VERDICT] = isinstance(
            statement.statement, GenerativeSelect
        ) and is_harmless(str(statement))
    return verdict
