"""What is done at each BEGIN, COMMIT and ROLLBACK, at no other cost.

SQLAlchemy's events `begin` and `commit` would do: but an engine that has any event of a connection
takes a longer way through every statement, some hundredths of what a request costs. `Connection`
has a method of its own for each of these moments. Their names are private, and so is the
attribute that chooses an engine's class of connections; where one of them is missing, the events
serve instead. `tests/core/engine/test_hooks.py` holds both ways to the same behaviour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.base import OptionEngine
from sqlalchemy.pool import PoolProxiedConnection

__all__ = ["hook_transactions"]

_IN_BEGIN = "_Connection__in_begin"

type Hook = Callable[[Connection], None]
type Lend = Callable[[Engine, Callable[[], PoolProxiedConnection]], PoolProxiedConnection]


def hook_transactions(
    engine: Engine,
    *,
    begin: Hook,
    commit: Hook,
    committed: Hook,
    unseen: Hook,
    rolled_back: Hook,
    lend: Lend,
) -> None:
    """Call functions at the transactions of an engine, and of those derived from it.

    Args:
        engine: The engine below the `AsyncEngine`, before anything was derived from it.
        begin: Called when a transaction begins, before anything is sent.
        commit: Called before its COMMIT; an exception prevents it.
        committed: Called when its COMMIT has held, outside any transaction. Not called where the
            events serve: there is none for that moment.
        unseen: Called instead where the events serve, before the COMMIT.
        rolled_back: Called when its ROLLBACK is done, also in AUTOCOMMIT, where there is nothing to
            roll back. Where the events serve, it is called before.
        lend: Called to check a connection out, with a derived engine and the function that does
            it. Not called where the events serve.
    """
    if not _has_private_names():
        event.listen(engine, "begin", begin)
        event.listen(engine, "commit", commit)
        event.listen(engine, "commit", unseen)
        event.listen(engine, "rollback", rolled_back)
        return

    class HookedConnection(Connection):
        def _begin_impl(self, transaction: Any) -> None:
            # Or the first statement of the hook would begin a transaction of its own.
            setattr(self, _IN_BEGIN, True)
            try:
                begin(self)
            finally:
                setattr(self, _IN_BEGIN, False)
            super()._begin_impl(transaction)

        def _commit_impl(self) -> None:
            commit(self)
            super()._commit_impl()
            committed(self)

        def _rollback_impl(self) -> None:
            super()._rollback_impl()
            rolled_back(self)

    class HookedOptionEngine(OptionEngine):
        _connection_cls = HookedConnection

        def raw_connection(self) -> PoolProxiedConnection:
            return lend(self, super().raw_connection)

    # `engine.execution_options(...)` derives an engine of this class.
    for each in (engine, HookedOptionEngine):
        each._option_cls = HookedOptionEngine  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see above
    engine._connection_cls = HookedConnection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see above


def _has_private_names() -> bool:
    return _IN_BEGIN in Connection.__init__.__code__.co_names and all(
        hasattr(owner, name)
        for owner, name in (
            (Connection, "_begin_impl"),
            (Connection, "_commit_impl"),
            (Connection, "_rollback_impl"),
            (Engine, "_connection_cls"),
            (Engine, "_option_cls"),
        )
    )
