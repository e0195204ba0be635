"""ENUM types that a migration makes and its downgrade drops, and the other way round.

PostgreSQL has ENUM types beside its tables. Alembic makes one with the first table that uses it and
then forgets it: a downgrade drops the table alone, and the next upgrade fails because the type is
there. For a column that is added it makes none at all.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Enum, MetaData, text
from sqlalchemy.dialects.postgresql import ENUM

__all__ = ["reuse_enums", "with_enums"]

type Directives = Callable[[MigrationContext, Any, list[Any]], None]


class _EnumOp(ops.MigrateOperation):
    def __init__(self, enum: Enum) -> None:
        self.enum = enum

    def to_diff_tuple(self) -> tuple[str, str]:
        return (self.what, str(self.enum.name))

    what = ""


class CreateEnumOp(_EnumOp):
    """Make a type."""

    what = "add_enum"


class DropEnumOp(_EnumOp):
    """Drop a type."""

    what = "remove_enum"


@renderers.dispatch_for(CreateEnumOp)
def _render_create(context: AutogenContext, op: CreateEnumOp) -> str:
    values = [repr(each) for each in op.enum.enums]
    return _render(context, [*values, *_names(op.enum)], "create")


@renderers.dispatch_for(DropEnumOp)
def _render_drop(context: AutogenContext, op: DropEnumOp) -> str:
    return _render(context, _names(op.enum), "drop")


def _names(enum: Enum) -> list[str]:
    schema = [f"schema={name!r}" for name in [_schema(enum)] if name]
    return [f"name={enum.name!r}", *schema]


def _render(context: AutogenContext, arguments: list[str], action: str) -> str:
    sqlalchemy, alembic = (
        (context.opts or {}).get(f"{name}_module_prefix", default)
        for name, default in (("sqlalchemy", "sa."), ("alembic", "op."))
    )
    # Elsewhere than on PostgreSQL it does nothing. Looking first would need a connection.
    return (
        f"{sqlalchemy}Enum({', '.join(arguments)}).{action}({alembic}get_bind(), checkfirst=False)"
    )


class _ExistingTypes(set[tuple[str | None, str]]):
    """The types that a table need not make because they are there."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def __contains__(self, key: object) -> bool:
        match key:
            case (str() | None as schema, str() as name):
                found = self._connection.execute(
                    text(
                        "SELECT 1 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
                        " WHERE t.typname = :name AND n.nspname = coalesce(:schema,"
                        " current_schema())"
                    ),
                    {"name": name, "schema": schema},
                )
                return found.first() is not None
            case _:
                return False


def reuse_enums(context: MigrationContext) -> None:
    """Have tables of a migration use the types that are there, instead of making them again.

    SQLAlchemy remembers which types were made in a run, and no more: a table whose type an earlier
    run has made would fail. The name of that memory is SQLAlchemy's own, see `NamedType` of
    its PostgreSQL dialect; without it nothing is reused.

    Args:
        context: The run's.
    """
    connection = context.connection
    if connection is not None and not context.as_sql and context.dialect.name == "postgresql":
        memory = cast("dict[str, Any]", context.impl.memo)  # pyright: ignore[reportUnknownMemberType]
        memory[f"pg_{ENUM.__visit_name__}"] = _ExistingTypes(connection)


def with_enums(
    given: Directives | None, *, on_emptied: Callable[[], None] = lambda: None
) -> Directives:
    """Answer a `process_revision_directives` that completes what autogenerate found.

    Models and databases are left as they are.

    Args:
        given: The application's own, called afterwards.
        on_emptied: Called where that took away a revision in which there is nothing to do.
            It is put back meanwhile: with several databases Alembic needs it for the next one.
    """

    def process(context: MigrationContext, revision: Any, directives: list[Any]) -> None:
        for script in directives:
            # With several databases there is a list for each, and this one's is the last.
            _complete(context, script.upgrade_ops_list[-1], script.downgrade_ops_list[-1])
        before = [*directives]
        if given is not None:
            given(context, revision, directives)
        if not directives and all(each.upgrade_ops_list[-1].is_empty() for each in before):
            directives[:] = before
            on_emptied()

    return process


def _complete(context: MigrationContext, up: ops.UpgradeOps, down: ops.DowngradeOps) -> None:
    with_tables, with_columns = _enums_of(up.ops)
    made = _by_name([*with_tables, *with_columns])
    left = Counter(map(_key, _enums_of_models(context)))
    left.subtract(_key(each) for each in [*with_tables, *with_columns])
    new = {key: enum for key, enum in made.items() if left[key] <= 0}
    tables = {_key(each) for each in with_tables}
    up.ops[:0] = [CreateEnumOp(enum) for key, enum in new.items() if key not in tables]
    down.ops += [DropEnumOp(enum) for enum in new.values()]

    # What is dropped was read from the database, and stands in the way back.
    from_tables, from_columns = _enums_of(down.ops)
    dropped = _by_name([*from_tables, *from_columns])
    uses = Counter(map(_key, [*from_tables, *from_columns]))
    wanted = {_key(each) for each in _enums_of_models(context)}
    gone = {
        key: enum
        for key, enum in dropped.items()
        if key not in wanted and _uses(context, enum) == uses[key]
    }
    tables = {_key(each) for each in from_tables}
    up.ops += [DropEnumOp(enum) for enum in gone.values()]
    down.ops[:0] = [CreateEnumOp(enum) for key, enum in gone.items() if key not in tables]


def _by_name(enums: Iterable[Enum]) -> dict[tuple[str | None, str], Enum]:
    return {_key(each): each for each in enums}


def _key(enum: Enum) -> tuple[str | None, str]:
    return (_schema(enum), str(enum.name))


def _schema(enum: Enum) -> str | None:
    # SQLAlchemy's annotation of it is incomplete.
    found: Any = enum
    return found.schema


def _enums_of(found: Iterable[Any]) -> tuple[list[Enum], list[Enum]]:
    """List the types of tables that are made, and of columns that are added."""
    with_tables: list[Enum] = []
    with_columns: list[Enum] = []
    for each in found:
        match each:
            case ops.CreateTableOp():
                # Constraints stand among the columns.
                with_tables += _enums_in(each.columns)
            case ops.AddColumnOp():
                with_columns += _enums_in([each.column])
            case ops.ModifyTableOps():
                more, yet_more = _enums_of(each.ops)
                with_tables += more
                with_columns += yet_more
            case _:
                pass
    return with_tables, with_columns


def _enums_of_models(context: MigrationContext) -> Iterator[Enum]:
    given: Any = context.opts.get("target_metadata")
    several: list[MetaData] = [given] if isinstance(given, MetaData) else list(given or ())
    for metadata in several:
        for table in metadata.tables.values():
            yield from _enums_in(table.columns)


def _enums_in(items: Iterable[Any]) -> Iterator[Enum]:
    for item in items:
        kind: Any = getattr(item, "type", None)
        while inner := getattr(kind, "item_type", None) or getattr(kind, "impl_instance", None):
            kind = inner  # that of an ARRAY, or below a TypeDecorator
        if isinstance(kind, Enum) and kind.native_enum and kind.name:
            yield kind


def _uses(context: MigrationContext, enum: Enum) -> int | None:
    """Count the columns of a type in the database, those of tables without a model too."""
    connection = context.connection
    if connection is None or connection.dialect.name != "postgresql":
        return None
    return connection.execute(
        text(
            "SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " JOIN pg_type t ON t.oid = a.atttypid OR t.typarray = a.atttypid"
            " JOIN pg_namespace n ON n.oid = t.typnamespace"
            " WHERE t.typname = :name AND n.nspname = coalesce(:schema, current_schema())"
            " AND c.relkind IN ('r', 'p') AND NOT a.attisdropped"
        ),
        {"name": enum.name, "schema": _schema(enum)},
    ).scalar_one()
