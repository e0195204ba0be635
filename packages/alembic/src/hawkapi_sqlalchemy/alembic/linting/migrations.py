"""Which migrations are looked at, and by whose rules."""

from collections.abc import Iterable

from hawkapi_sqlalchemy.alembic.linting.findings import Finding
from hawkapi_sqlalchemy.alembic.linting.rules import apply_rules
from hawkapi_sqlalchemy.alembic.linting.squawk import find_squawk, run_squawk
from hawkapi_sqlalchemy.alembic.linting.statements import split_by_revision
from hawkapi_sqlalchemy.alembic.program import Migrations

__all__ = ["lint_migrations"]

_BESIDE_SQUAWK = frozenset({"unnamed-constraint"})
"""What squawk has no rule for."""


def lint_migrations(
    migrations: Migrations, *, start: str | None = None, ignore: Iterable[str] = ()
) -> tuple[list[Finding], list[str]]:
    """Tell what is dangerous in migrations, from the SQL that they would run.

    Args:
        migrations: The project.
        start: The revision after which they are looked at; `base` for all of them.
            Default: what is pending in the databases, which are asked.
        ignore: Rules to leave out.

    Returns:
        The findings, and the revisions that were looked at, in the order in which
        they run.

    Raises:
        MigrationError: `sqlparse` is not installed, or squawk does not work.
        Exception: As `Migrations.pending`, if databases are asked.
        CommandError: The SQL cannot be written without a connection: a migration asks
            the database, as SQLite's batch mode does.
    """
    wanted: set[str] | None = None
    if start is None:
        states = migrations.current()
        for state in states:
            if state.error is not None:
                raise state.error
        wanted = {revision for state in states for revision in state.pending}
        if not wanted:
            return [], []
        at = {state.current for state in states}
        # Where they are not all at one place, the SQL of what some have is written too.
        only = at.pop() if len(at) == 1 else ()
        start = only[0] if len(only) == 1 else "base"
    script = migrations.sql_script("heads", start=None if start == "base" else start)
    parts = [
        (revision, statements)
        for revision, statements in split_by_revision(script.text, script.version_table)
        if wanted is None or revision in wanted
    ]
    squawk = find_squawk() if script.dialect == "postgresql" else None
    findings = [] if squawk is None else run_squawk(squawk, parts)
    for revision, statements in parts:
        findings += apply_rules(
            revision,
            statements,
            script.dialect,
            only=None if squawk is None else _BESIDE_SQUAWK,
        )
    left_out = set(ignore)
    order = [revision for revision, _ in parts]
    kept = [each for each in findings if each.rule not in left_out]
    return sorted(kept, key=lambda each: order.index(each.revision)), order
