"""Which statements are called dangerous, by our own rules and by squawk."""

import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hawkapi_sqlalchemy.alembic import MigrationError, Migrations
from hawkapi_sqlalchemy.alembic.linting import RULES, lint_migrations, migrations, statements

ADD = 'op.add_column("pets", sa.Column("age", sa.Integer, {}))'
BAD = {
    "adding-required-column": ADD.format("nullable=False"),
    "drop-column": 'op.drop_column("pets", "name")',
    "drop-table": 'op.drop_table("pets")',
    "rename-column": 'op.execute("ALTER TABLE pets RENAME COLUMN name TO title")',
    "rename-table": 'op.rename_table("pets", "animals")',
    "truncate-table": 'op.execute("TRUNCATE TABLE pets")',
    "unnamed-constraint": 'op.create_table("t", sa.Column("a", sa.Integer, unique=True))',
}
BAD_ON_POSTGRESQL = {
    "constraint-validates": 'op.create_check_constraint("ck", "pets", "id > 0")',
    "index-locks-table": 'op.create_index("ix", "pets", ["name"])',
    "set-not-null": 'op.alter_column("pets", "name", nullable=False)',
    "type-change": 'op.alter_column("pets", "name", type_=sa.Text)',
}
BAD_ON_MARIADB = {
    "type-change": ('op.alter_column("pets", "name", type_=sa.Text, existing_type=sa.String(50))'),
    "rename-column": (
        'op.alter_column("pets", "name", new_column_name="t", existing_type=sa.String(50))'
    ),
}
STATEMENTS = {
    'ALTER TABLE "old pets" DROP COLUMN name': ["drop-column"],
    "ALTER TABLE pets ADD COLUMN a INTEGER, DROP COLUMN name": ["drop-column"],
    "ALTER TABLE pets ADD COLUMN a NUMERIC(3, 2) DEFAULT 0 NOT NULL": [],
    "ALTER TABLE pets ADD a INTEGER NOT NULL, ADD b INTEGER NOT NULL": ["adding-required-column"],
    "ALTER TABLE pets DROP name": ["drop-column"],
    "ALTER TABLE pets DROP CONSTRAINT ck": [],
    "RENAME TABLE pets TO animals": ["rename-table"],
    'ALTER TABLE pets ADD COLUMN "default" INTEGER NOT NULL': ["adding-required-column"],
    "DROP TABLE my_alembic_version_log": ["drop-table"],
    "/* lint: ignore drop-table, drop-column */ DROP TABLE pets": [],
}
GOOD = [
    ADD.format("nullable=True"),
    ADD.format('nullable=False, server_default="0"'),
    "op.execute(\"UPDATE pets SET name = 'ADD x NOT NULL; DROP TABLE pets'\")",
    'op.execute("-- DROP TABLE pets\\nSELECT 1")',
    """
    op.create_table(
        "toys", sa.Column("id", sa.Integer, nullable=False), sa.Column("size", sa.Integer)
    )
    op.create_index("ix_toys_size", "toys", ["size"])
    op.add_column("toys", sa.Column("age", sa.Integer, nullable=False))
    """,
]
GOOD_ON_POSTGRESQL = [
    """
    with op.get_context().autocommit_block():
        op.create_index("ix", "pets", ["name"], postgresql_concurrently=True)
    """,
    'op.create_check_constraint("ck", "pets", "id > 0", postgresql_not_valid=True)',
]


@pytest.fixture
def rules_of(project: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Answer the rules that a migration breaks, judged by our own alone."""
    monkeypatch.setattr(migrations, "find_squawk", lambda: None)

    def judge(upgrade: str, **options: Any) -> list[str]:
        project.add("two", upgrade, after="one")
        findings, revisions = lint_migrations(
            Migrations(project.config), **{"start": "one", **options}
        )
        assert revisions == ["two"]
        assert all(each.revision == "two" for each in findings)
        return [each.rule for each in findings]

    return judge


@pytest.mark.parametrize("rule", BAD)
def test_what_is_dangerous_everywhere(rules_of: Any, rule: str) -> None:
    assert rules_of(BAD[rule]) == [rule]
    assert rules_of(BAD[rule], ignore=[rule]) == []


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize("rule", BAD_ON_POSTGRESQL)
def test_what_is_dangerous_on_postgresql(rules_of: Any, rule: str) -> None:
    assert rules_of(BAD_ON_POSTGRESQL[rule]) == [rule]


@pytest.mark.dialects("mariadb")
@pytest.mark.parametrize("rule", BAD_ON_MARIADB)
def test_what_is_dangerous_on_mariadb(rules_of: Any, rule: str) -> None:
    assert rule in rules_of(BAD_ON_MARIADB[rule])


@pytest.mark.parametrize("upgrade", GOOD)
def test_what_is_not_dangerous(rules_of: Any, upgrade: str) -> None:
    assert rules_of(upgrade) == []


@pytest.mark.dialects("postgresql")
@pytest.mark.parametrize("upgrade", GOOD_ON_POSTGRESQL)
def test_what_is_not_dangerous_on_postgresql(rules_of: Any, upgrade: str) -> None:
    assert rules_of(upgrade) == []


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statements_as_people_write_them(rules_of: Any, statement: str) -> None:
    assert rules_of(f"op.execute({statement!r})") == STATEMENTS[statement]


@pytest.mark.dialects("mariadb")
def test_a_changed_column_that_keeps_its_name_is_not_renamed(rules_of: Any) -> None:
    statement = "ALTER TABLE pets CHANGE COLUMN name name BIGINT"
    assert rules_of(f"op.execute({statement!r})") == ["type-change"]


def test_every_rule_of_ours_is_in_the_help() -> None:
    assert {*BAD, *BAD_ON_POSTGRESQL, *BAD_ON_MARIADB} == set(RULES)


def test_a_comment_leaves_a_rule_out_for_its_statement(rules_of: Any) -> None:
    upgrade = """
    op.execute("/* lint: ignore rename-column */ ALTER TABLE pets RENAME COLUMN name TO title")
    op.drop_table("pets")
    """
    assert rules_of(upgrade) == ["drop-table"]


def test_by_default_what_is_pending_is_looked_at(
    project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "find_squawk", lambda: None)
    project.upgrade()
    for name, after in (("two", "one"), ("three", "two")):
        project.add(name, f'op.execute("DROP TABLE {name}")', after=after)
    findings, revisions = lint_migrations(Migrations(project.config))
    assert revisions == ["two", "three"]
    assert [each.revision for each in findings] == ["two", "three"]
    _, revisions = lint_migrations(Migrations(project.config), start="base")
    assert revisions == ["one", "two", "three"]
    Migrations(project.config).stamp("three")
    assert lint_migrations(Migrations(project.config)) == ([], [])


@pytest.mark.dialects("postgresql")
def test_squawk_judges_for_postgresql(project: Any) -> None:
    assert migrations.find_squawk() is not None, "squawk-cli is among the development tools"
    project.add("two", BAD_ON_POSTGRESQL["index-locks-table"], after="one")
    good = textwrap.dedent(GOOD_ON_POSTGRESQL[0])
    project.add("three", f"{BAD['unnamed-constraint']}\n{good}", after="two")
    project.add("four", BAD["drop-column"], after="three")
    findings, revisions = lint_migrations(Migrations(project.config), start="one")
    assert revisions == ["two", "three", "four"]
    found = {(each.revision, each.source, each.rule) for each in findings}
    assert found == {
        ("two", "squawk", "require-concurrent-index-creation"),
        ("three", "hawkapi-migrate", "unnamed-constraint"),
        ("four", "squawk", "ban-drop-column"),
    }
    (index,) = [each for each in findings if each.revision == "two"]
    assert index.statement == "CREATE INDEX ix ON pets (name)"
    assert "concurrently" in index.remedy.lower()


@pytest.mark.dialects("postgresql")
def test_a_squawk_that_does_not_work_is_told(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "squawk"
    broken.write_text("#!/bin/sh\necho no such option >&2\nexit 64\n")
    broken.chmod(0o755)
    assert subprocess.run([broken], check=False, capture_output=True).returncode == 64
    monkeypatch.setattr(migrations, "find_squawk", lambda: str(broken))
    with pytest.raises(MigrationError, match="squawk does not work here: no such option"):
        lint_migrations(Migrations(project.config), start="base")


@pytest.mark.dialects("sqlite")
def test_without_sqlparse_the_extra_is_named(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sqlparse", None)
    with pytest.raises(MigrationError, match=r"hawkapi-sqlalchemy-alembic\[lint\]"):
        list(statements.split_by_revision("-- Running upgrade  -> one\n\nSELECT 1;\n", "v"))
