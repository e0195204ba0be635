"""The events of SQLAlchemy that tell of every statement."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import ORMExecuteState, RelationshipProperty, Session

from hawkapi_sqlalchemy.core import Database
from hawkapi_sqlalchemy.pytest.queries.records import Kind, Load, RecordedQuery, Statement
from hawkapi_sqlalchemy.pytest.queries.stack import Serials, origin_of

__all__ = ["Listener"]

_LOAD = "hawkapi_queries_load"
"""The execution option that carries what the session knows to where the statement is sent."""
_SAVEPOINT = re.compile(
    r"\s*(SAVEPOINT|RELEASE|ROLLBACK\s+(WORK\s+|TRANSACTION\s+)?TO)\b", re.IGNORECASE
)
_TRANSACTION = re.compile(
    r"\s*(BEGIN|START\s+TRANSACTION|COMMIT|END|ROLLBACK|ABORT)\b", re.IGNORECASE
)


class Listener:
    """Hears of the statements of one Database while it listens.

    It listens to all engines and all sessions, and tells those of the Database by their dialect, of
    which each engine has its own. So it hears engines too that are made meanwhile, and connections
    that are open already.

    Args:
        database: The Database.
        record: Called with each statement, before it is sent.
    """

    def __init__(self, database: Database, record: Callable[[Statement], None]) -> None:
        self._database = database
        self._record = record
        self._serials = Serials()
        # Events of the dialect: after those of the connection all engines of the process would go
        # a longer way through each statement, also when nobody listens any more.
        self._events: list[tuple[Any, str, Callable[..., None]]] = [
            (Engine, "do_execute", self._on_execute),
            (Engine, "do_executemany", self._on_execute),
            (Engine, "do_execute_no_params", self._on_execute_without_parameters),
            (Session, "do_orm_execute", self._on_orm_execute),
        ]

    def start(self) -> None:
        """Begin to listen."""
        for target, name, function in self._events:
            event.listen(target, name, function)

    def stop(self) -> None:
        """Listen no more, and leave nothing behind."""
        for target, name, function in self._events:
            event.remove(target, name, function)

    def _on_orm_execute(self, state: ORMExecuteState) -> None:
        state.update_execution_options(**{_LOAD: _load(state)})

    def _on_execute_without_parameters(
        self, cursor: Any, sql: str, context: DefaultExecutionContext
    ) -> None:
        del cursor
        self._note(sql, (), context)

    def _on_execute(
        self, cursor: Any, sql: str, parameters: Any, context: DefaultExecutionContext
    ) -> None:
        del cursor
        self._note(sql, parameters, context)

    def _note(self, sql: str, parameters: Any, context: DefaultExecutionContext) -> None:
        name = self._name(context)
        if name is None:
            return
        is_savepoint = bool(_SAVEPOINT.match(sql))
        if not is_savepoint and _TRANSACTION.match(sql):
            return
        origin = origin_of(self._serials)
        if origin.is_ours:
            return
        load: Load | None = context.execution_options.get(_LOAD)
        query = RecordedQuery(
            sql=sql,
            parameters=parameters,
            database=name,
            source=origin.callers[0] if origin.callers else None,
            relationship=load.relationship if load and load.kind is Kind.LAZY else None,
        )
        self._record(
            Statement(
                query=query,
                load=load,
                unit=("connection", self._serials.of(context.root_connection))
                if load is None
                else ("session", load.session),
                operation=("statement", self._serials.of(context))
                if origin.operation is None
                else origin.operation,
                callers=origin.callers,
                is_savepoint=is_savepoint,
                hides_parameters=context.engine.hide_parameters,
            )
        )

    def _name(self, context: DefaultExecutionContext) -> str | None:
        for name, engine in self._database.engines.items():
            for each in engine.async_engines:
                if each.sync_engine.dialect is context.dialect:
                    return name
        return None


def _load(state: ORMExecuteState) -> Load:
    session = state.session.hash_key
    if not state.is_relationship_load:
        return Load(session)
    path = state.loader_strategy_path
    steps = () if path is None else path.path
    names = [str(step) for step in steps if isinstance(step, RelationshipProperty)]
    relationship = names[-1] if names else None
    parent = state.lazy_loaded_from
    if parent is None:
        return Load(session, Kind.EAGER, relationship)
    return Load(session, Kind.LAZY, relationship, parent.key or id(parent))
