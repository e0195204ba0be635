"""PostgreSQL's linter squawk, https://squawkhq.com, where it is installed."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hawkapi_sqlalchemy.alembic.errors import MigrationError
from hawkapi_sqlalchemy.alembic.linting.findings import Finding
from hawkapi_sqlalchemy.alembic.linting.statements import Statement

__all__ = ["SOURCE", "find_squawk", "run_squawk"]

SOURCE = "squawk"

_NOT_ASKED = frozenset(
    {
        # `run_migrations` sets them.
        "require-timeout-settings",
        "require-lock-timeout",
        "require-statement-timeout",
        # The SQL holds the transactions of the whole run, of which a part is looked at.
        "transaction-nesting",
        "ban-uncommitted-transaction",
        # Alembic knows what has run; a statement need not be repeatable.
        "prefer-robust-stmts",
        # Taste, not danger: the types are the models'.
        "prefer-big-int",
        "prefer-bigint-over-int",
        "prefer-bigint-over-smallint",
        "prefer-identity",
        "prefer-text-field",
        "prefer-timestamp-tz",
        "ban-char-field",
    }
)
_TIMEOUT = 60.0


def find_squawk() -> str | None:
    """Answer the program, from the environment of this Python or from the path."""
    beside = shutil.which("squawk", path=str(Path(sys.executable).parent))
    return beside or shutil.which("squawk")


def run_squawk(
    program: str, migrations: Sequence[tuple[str, Sequence[Statement]]]
) -> list[Finding]:
    """Judge migrations for PostgreSQL.

    Args:
        program: squawk.
        migrations: Revisions and their statements.

    Returns:
        What squawk finds dangerous.

    Raises:
        MigrationError: It does not work; the message is its own.
    """
    with tempfile.TemporaryDirectory(prefix="hawkapi-migrate-") as name:
        folder = Path(name)
        files: dict[str, tuple[str, Sequence[Statement]]] = {}
        for number, (revision, statements) in enumerate(migrations):
            # One line for each statement, so that a line tells the statement.
            file = folder / f"{number}.sql"
            file.write_text("".join(f"{each.text};\n" for each in statements), encoding="utf-8")
            files[file.name] = (revision, statements)
        if not files:
            return []
        answers = _ask(program, folder, sorted(files))
    findings: list[Finding] = []
    for answer in answers:
        revision, statements = files[Path(answer["file"]).name]
        statement = statements[int(answer["line"])]
        rule = str(answer["rule_name"])
        if rule in _NOT_ASKED or rule in statement.ignored:
            continue
        findings.append(
            Finding(
                revision, rule, answer["message"], answer.get("help") or "", statement.text, SOURCE
            )
        )
    return findings


def _ask(program: str, folder: Path, files: Sequence[str]) -> list[dict[str, Any]]:
    command = [program, "--reporter", "Json", "--assume-in-transaction", *files]
    done = subprocess.run(  # noqa: S603  # no shell, and no word of it is a user's
        command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    try:
        return list(json.loads(done.stdout))
    except ValueError as error:
        said = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
        raise MigrationError(f"squawk does not work here: {said}") from error
