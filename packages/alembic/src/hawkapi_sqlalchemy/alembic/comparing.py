"""What autogenerate finds, told of each database by its name."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from alembic import context
from alembic.autogenerate import RevisionContext, render_python_code
from alembic.config import Config
from alembic.operations.ops import UpgradeOps
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hawkapi_sqlalchemy.alembic.errors import MigrationError, SchemaDifferenceError
from hawkapi_sqlalchemy.alembic.results import SchemaCheck

__all__ = [
    "autogenerates",
    "compare",
    "is_comparing",
    "make_sure_it_is_at_head",
    "settle_comparison",
]


def compare(
    database: str,
    config: Config,
    script: ScriptDirectory,
    heads: tuple[str, ...],
    migrating: MigrationContext,
) -> SchemaCheck:
    """Compare a database with the models.

    Args:
        database: Its name.
        config: Alembic's configuration.
        script: The migration scripts.
        heads: The revisions the database is at.
        migrating: Alembic's context.

    Raises:
        MigrationError: It is not at the newest revision.
        CommandError: `env.py` gives no models.
    """
    make_sure_it_is_at_head(heads)
    comparison = RevisionContext(config, script, dict(_COMPARE))
    comparison.run_autogenerate(heads, migrating)
    # A hook of the application's takes a revision away in which there is nothing to do.
    found = comparison.generated_revisions
    return _check_of(database, found[-1].upgrade_ops_list[-1]) if found else SchemaCheck(database)


_COMPARE: dict[str, Any] = {
    "message": None,
    "autogenerate": True,
    "sql": False,
    "head": "head",
    "splice": False,
    "branch_label": None,
    "version_path": None,
    "rev_id": None,
    "depends_on": None,
}
"""What Alembic's own `check` asks of autogenerate."""


def is_comparing() -> bool:
    """Tell whether the command makes a revision, or checks whether one is needed."""
    return _revision_context() is not None


def settle_comparison(databases: Sequence[str], *, keeps_empty: bool) -> None:
    """Make one finding of those of several databases, where the command compared them.

    Alembic puts what it finds in each of them into one list: its `check` does not
    say which database differs, and its `revision` does not know what to write.

    Args:
        databases: The names of those that were compared, in that order.
        keeps_empty: Whether a revision in which there is nothing to do is written.

    Raises:
        SchemaDifferenceError: The command is `alembic check`, and databases
            differ from the models.
        MigrationError: They do not all differ in the same way.
    """
    revision_context = _revision_context()
    if revision_context is None:
        return
    scripts = revision_context.generated_revisions
    # A hook of the application's may have taken it away.
    if scripts and len(databases) > 1:
        _join(revision_context, databases)
    if scripts and not keeps_empty and scripts[-1].upgrade_ops_list[0].is_empty():
        scripts.clear()


def autogenerates() -> bool:
    """Tell whether the command compares databases with the models."""
    revision_context = _revision_context()
    return revision_context is not None and bool(revision_context.command_args["autogenerate"])


def make_sure_it_is_at_head(heads: Sequence[str]) -> None:
    """Refuse to compare a database that is not at the newest revision.

    Args:
        heads: The revisions it is at.

    Raises:
        MigrationError: It is behind, and what it lacks would be found as a difference.
    """
    newest = context.script.get_heads()
    if set(heads) != set(newest) and {*heads, *newest}:
        at = f"is at {', '.join(heads)}" if heads else "has no revision"
        raise MigrationError(
            f"the database {at}, and not at the newest one, {', '.join(newest)}: upgrade it "
            "first; what it lacks would be found as a difference"
        )


def _join(revision_context: RevisionContext, databases: Sequence[str]) -> None:
    script = revision_context.generated_revisions[-1]
    checks = [
        _check_of(name, ops) for name, ops in zip(databases, script.upgrade_ops_list, strict=True)
    ]
    differing = [each for each in checks if each.differences]
    if _is_check() and differing:
        raise SchemaDifferenceError(differing)
    rendered = [render_python_code(ops) for ops in script.upgrade_ops_list]
    if len(set(rendered)) > 1:
        raise MigrationError(
            "the databases do not have the same schema, so that one revision cannot serve them "
            f"all:\n  {'\n  '.join(_named(checks))}"
        )
    script.upgrade_ops = script.upgrade_ops_list[0]
    script.downgrade_ops = script.downgrade_ops_list[0]


def _check_of(database: str, found: UpgradeOps) -> SchemaCheck:
    operations = tuple(found.as_diffs())
    return SchemaCheck(database, tuple(_lines(operations)), operations)


def _revision_context() -> RevisionContext | None:
    found: object = context.get_context().opts.get("revision_context")
    return found if isinstance(found, RevisionContext) else None


def _named(checks: Iterable[SchemaCheck]) -> list[str]:
    return [f"{each.database}: {'; '.join(each.differences) or 'as the models'}" for each in checks]


def _is_check() -> bool:
    """Tell whether Alembic's command line runs its `check`, which its program interface hides."""
    from alembic import command

    chosen: Any = getattr(context.config.cmd_opts, "cmd", None)
    return bool(chosen) and chosen[0] is command.check


def _lines(operations: Iterable[Any]) -> list[str]:
    lines: list[str] = []
    for each in operations:
        # Changes of one column come together.
        lines += _lines(cast("list[Any]", each)) if isinstance(each, list) else [_line(each)]
    return lines


def _line(operation: tuple[Any, ...]) -> str:
    kind, *details = operation
    words = str(kind).replace("_", " ")
    match str(kind), details:
        case "add_table" | "remove_table", [table]:
            return f"{words} {table}"
        case "add_column" | "remove_column", [schema, table, column]:
            return f"{words} {_table(schema, table)}.{column.name}"
        case (("add_index" | "remove_index"), [index]):
            return f"{words} {index.name} of {index.table}"
        case (("add_constraint" | "remove_constraint" | "add_fk" | "remove_fk"), [constraint]):
            return f"{words} {constraint.name or '(no name)'} of {constraint.table}"
        case _, [schema, table, column, Mapping(), old, new] if str(kind).startswith("modify_"):
            return (
                f"{words} of {_table(schema, table)}.{column} from {_shown(old)} to {_shown(new)}"
            )
        case _:
            return f"{words} {' '.join(str(each) for each in details)}"


def _table(schema: str | None, table: str) -> str:
    return f"{schema}.{table}" if schema else table


def _shown(value: Any) -> str:
    text: Any = getattr(value, "arg", value)
    return repr(text) if isinstance(text, str | bool) or text is None else str(text)
